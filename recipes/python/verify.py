"""Verifies the token of a Mailroom link. Copy this file; it needs nothing but Python."""

import base64
import hashlib
import hmac
import re

# What a link allows: the path its signature is bound to, and whether the code is signed, too.
ACTIVATION = ("/activate", False)
PASSWORD_RECOVERY = ("/recover", True)


def secret_key(digits):
    """A key from 64 hexadecimal digits, as in MAILROOM_SECRET_KEY."""
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
        raise ValueError("a secret key is exactly 64 hexadecimal digits")  # and no echo of it
    return bytes.fromhex(digits)


def verify(keys, action, token, code=None):
    """The 32 bytes that find the token's row, or None: not ours, for whatever reason.

    keys: newest first; more than one while a key is being rotated. token: the last segment of the
    link. code: what the visitor typed; ignored if the action does not sign it.
    """
    path, code_signed = action
    # 64 bytes have one spelling: 86 characters, the last of which carries two bits. Python's decoder
    # would take many more.
    if not isinstance(token, str) or not re.fullmatch(r"[A-Za-z0-9_-]{85}[AQgw]", token):
        return None
    if code_signed and not (isinstance(code, str) and re.fullmatch(r"[0-9]{5}", code)):
        return None

    data = base64.urlsafe_b64decode(token + "==")
    secret, signature = data[:32], data[32:]
    message = path.encode() + secret + (code.encode() if code_signed else b"")
    good = False
    for key in keys:
        good |= hmac.compare_digest(hmac.digest(key, message, hashlib.sha256), signature)
    return secret if good else None
