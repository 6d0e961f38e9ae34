// Verifies the token of a Mailroom link. Copy this file; it needs nothing but Node.
import { createHmac, timingSafeEqual } from "node:crypto";

/** What a link allows: the path its signature is bound to, and whether the code is signed, too. */
export const ACTIVATION = Object.freeze({ path: "/activate", codeSigned: false });
export const PASSWORD_RECOVERY = Object.freeze({ path: "/recover", codeSigned: true });

/** A key from 64 hexadecimal digits, as in MAILROOM_SECRET_KEY. */
export function secretKey(digits) {
  if (!/^[0-9A-Fa-f]{64}$/.test(digits)) {
    throw new Error("a secret key is exactly 64 hexadecimal digits"); // and no echo of it
  }
  return Buffer.from(digits, "hex");
}

/**
 * The 32 bytes that find the token's row, or null: not ours, for whatever reason.
 *
 * @param {Buffer[]} keys newest first; more than one while a key is being rotated
 * @param {{path: string, codeSigned: boolean}} action
 * @param {unknown} token the last segment of the link
 * @param {unknown} [code] what the visitor typed; ignored if the action does not sign it
 * @returns {Buffer | null}
 */
export function verify(keys, action, token, code) {
  // 64 bytes have one spelling: 86 characters, the last of which carries two bits.
  if (typeof token !== "string" || !/^[A-Za-z0-9_-]{85}[AQgw]$/.test(token)) return null;
  if (action.codeSigned && (typeof code !== "string" || !/^[0-9]{5}$/.test(code))) return null;

  const bytes = Buffer.from(token, "base64url");
  const secret = bytes.subarray(0, 32);
  const signature = bytes.subarray(32);
  let good = false;
  for (const key of keys) {
    const hmac = createHmac("sha256", key).update(action.path).update(secret);
    if (action.codeSigned) hmac.update(code);
    good = timingSafeEqual(hmac.digest(), signature) || good;
  }
  return good ? secret : null;
}
