// Every published vector: node verify.test.mjs [PATH OF tokens.json]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ACTIVATION, PASSWORD_RECOVERY, secretKey, verify } from "./verify.mjs";

const published = new URL("../../mailroom/vectors/tokens.json", import.meta.url);
const vectors = JSON.parse(readFileSync(process.argv[2] ?? published, "utf8"));
// What was signed must verify, too.
const signed = vectors.sign.map((vector) => ({ ...vector, keys: [vector.key] }));

let checked = 0;
for (const { name, keys, path, code_signed, token, code, secret } of [...signed, ...vectors.verify]) {
  const action = { path, codeSigned: code_signed };
  const found = verify(keys.map(secretKey), action, token, code);
  assert.equal(found?.toString("hex") ?? null, secret, name);
  checked += 1;
}

const keys = [secretKey("deadbeef".repeat(8))];
const link = vectors.sign.find(({ name }) => name === "recovery");
assert.ok(verify(keys, PASSWORD_RECOVERY, link.token, link.code));
// What a query string or a JSON body may hold in place of a text.
for (const alien of [undefined, null, 0, {}, [link.token]]) {
  assert.equal(verify(keys, ACTIVATION, alien), null);
  assert.equal(verify(keys, PASSWORD_RECOVERY, link.token, alien), null);
}
assert.throws(() => secretKey("deadbeef"), /64 hexadecimal digits/);
console.log(`${checked} vectors hold`);
