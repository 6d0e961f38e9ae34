"""Every published vector: python3 test_verify.py [PATH OF tokens.json], or python3 -m unittest"""

import json
import pathlib
import sys
import unittest

from verify import ACTIVATION, PASSWORD_RECOVERY, secret_key, verify

path = pathlib.Path(__file__).parent / "../../mailroom/vectors/tokens.json"
if __name__ == "__main__" and len(sys.argv) > 1:
    path = pathlib.Path(sys.argv.pop())
vectors = json.loads(path.read_text(encoding="utf-8"))
# What was signed must verify, too.
signed = [{**vector, "keys": [vector["key"]]} for vector in vectors["sign"]]
every = signed + vectors["verify"]


class Verify(unittest.TestCase):
    def test_every_vector_holds(self):
        for vector in every:
            action = (vector["path"], vector["code_signed"])
            keys = [secret_key(digits) for digits in vector["keys"]]
            found = verify(keys, action, vector["token"], vector["code"])
            self.assertEqual(found and found.hex(), vector["secret"], vector["name"])

    def test_what_is_no_text_is_no_token_and_no_code(self):
        keys = [secret_key("deadbeef" * 8)]
        link = next(vector for vector in vectors["sign"] if vector["name"] == "recovery")
        self.assertIsNotNone(verify(keys, PASSWORD_RECOVERY, link["token"], link["code"]))
        # What a query string or a JSON body may hold in place of a text.
        for alien in (None, 0, {}, [link["token"]], link["token"].encode()):
            self.assertIsNone(verify(keys, ACTIVATION, alien))
            self.assertIsNone(verify(keys, PASSWORD_RECOVERY, link["token"], alien))

    def test_a_short_key_is_no_key(self):
        with self.assertRaises(ValueError):
            secret_key("deadbeef")


if __name__ == "__main__":
    unittest.main(exit=False, argv=sys.argv[:1]).result.wasSuccessful() or sys.exit(1)
    print(f"{len(every)} vectors hold")
