"""Every published vector: python3 test_verify.py [PATH OF tokens.json]"""

import json
import pathlib
import sys

from verify import ACTIVATION, PASSWORD_RECOVERY, secret_key, verify

published = pathlib.Path(__file__).parent / "../../mailroom/vectors/tokens.json"
path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else published
vectors = json.loads(path.read_text(encoding="utf-8"))
# What was signed must verify, too.
signed = [{**vector, "keys": [vector["key"]]} for vector in vectors["sign"]]


def equal(found, expected, name):
    if found != expected:  # not `assert`, which -O takes out
        raise SystemExit(f"{name}: {found!r}, not {expected!r}")


checked = 0
for vector in signed + vectors["verify"]:
    action = (vector["path"], vector["code_signed"])
    keys = [secret_key(digits) for digits in vector["keys"]]
    found = verify(keys, action, vector["token"], vector["code"])
    equal(found and found.hex(), vector["secret"], vector["name"])
    checked += 1

keys = [secret_key("deadbeef" * 8)]
link = next(vector for vector in vectors["sign"] if vector["name"] == "recovery")
equal(verify(keys, PASSWORD_RECOVERY, link["token"], link["code"]) is None, False, "recovery")
# What a query string or a JSON body may hold in place of a text.
for alien in (None, 0, {}, [link["token"]], link["token"].encode()):
    equal(verify(keys, ACTIVATION, alien), None, "a token that is no text")
    equal(verify(keys, PASSWORD_RECOVERY, link["token"], alien), None, "a code that is no text")
try:
    secret_key("deadbeef")
except ValueError:
    pass
else:
    raise SystemExit("a short key was taken")
print(f"{checked} vectors hold")
