#!/usr/bin/env python3
"""Writes tokens.json and lines.json beside itself. Standard library only, and nothing of the Rust
code: what both agree on is the protocol."""

import base64
import csv
import hashlib
import hmac
import io
import json
import pathlib

HERE = pathlib.Path(__file__).parent
OLD = "deadbeef" * 8
NEW = "0123456789abcdef" * 4
ZERO = "00" * 32
HIGH = "FF" * 32
MIXED = "DeadBeef" * 8

ACTIVATE = ("/activate", False)
RECOVER = ("/recover", True)
INVITE = ("/i", True)
CONFIRM = ("/" + "c" * 63, False)

ONES = b"\x11" * 32
TWOS = b"\x11" * 31 + b"\x12"
COUNT = bytes(range(32))
DIGEST = hashlib.sha256(b"mailroom").digest()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key, action, secret, code=None):
    path, code_signed = action
    message = path.encode() + secret + (code.encode() if code_signed else b"")
    return encode(secret + hmac.new(bytes.fromhex(key), message, hashlib.sha256).digest())


def flip(text, bit):
    data = bytearray(base64.urlsafe_b64decode(text + "=="))
    data[bit // 8] ^= 1 << (bit % 8)
    return encode(data)


def tokens():
    sign, verify = [], []

    def signed(name, key, action, secret, code=None):
        sign.append({
            "name": name, "key": key, "path": action[0], "code_signed": action[1],
            "secret": secret.hex(), "code": code, "token": token(key, action, secret, code),
        })

    signed("activation", OLD, ACTIVATE, ONES)
    signed("recovery", OLD, RECOVER, TWOS, "06435")
    signed("an activation's code is not signed", OLD, ACTIVATE, ONES, "06435")
    signed("key in mixed case", MIXED, ACTIVATE, ONES)
    signed("another key", NEW, ACTIVATE, ONES)
    signed("another key, recovery", NEW, RECOVER, TWOS, "06435")
    signed("key of zeros, secret of zeros", ZERO, ACTIVATE, bytes(32))
    signed("key of ones, secret of ones, in capitals", HIGH, RECOVER, b"\xff" * 32, "99999")
    signed("code of zeros", NEW, RECOVER, COUNT, "00000")
    signed("every secret byte different", NEW, ACTIVATE, COUNT)
    signed("both special characters of the alphabet", NEW, RECOVER, DIGEST, "31415")
    signed("an action of one's own, code signed", NEW, INVITE, DIGEST, "27182")
    signed("the longest path, code not signed", NEW, CONFIRM, DIGEST)

    def case(name, keys, action, text, code, secret):
        verify.append({
            "name": name, "keys": keys, "path": action[0], "code_signed": action[1],
            "token": text, "code": code, "secret": secret.hex() if secret else None,
        })

    activation, recovery = token(OLD, ACTIVATE, ONES), token(OLD, RECOVER, TWOS, "06435")
    example = ("Qg84W2nmW8ClkDGZBdoC7UXM0BakAhmlBmR4emc4JJji0aMHLqfdM07rn1sHN8tv"
               "Gk9go-hsKJMwvtqdGm5Cjw")
    case("activation", [OLD], ACTIVATE, activation, None, ONES)
    case("activation, a code is ignored", [OLD], ACTIVATE, activation, "06435", ONES)
    case("activation, a code that is none is ignored", [OLD], ACTIVATE, activation, "x", ONES)
    case("activation, random secret", [OLD], ACTIVATE, example, None,
         base64.urlsafe_b64decode(example + "==")[:32])
    case("recovery", [OLD], RECOVER, recovery, "06435", TWOS)
    case("rotation: the new key is first", [NEW, OLD], ACTIVATE, activation, None, ONES)
    case("rotation: the old key is first", [OLD, NEW], ACTIVATE, activation, None, ONES)
    case("rotation: signed by the last of three", [ZERO, NEW, OLD], RECOVER, recovery, "06435", TWOS)
    case("rotation: the same key twice", [OLD, OLD], ACTIVATE, activation, None, ONES)
    case("an action of one's own", [NEW], INVITE, token(NEW, INVITE, DIGEST, "27182"), "27182", DIGEST)

    def refused(name, text, code=None, keys=(OLD,), action=ACTIVATE):
        case(name, list(keys), action, text, code, None)

    refused("no keys", activation, keys=())
    refused("key dropped after rotation", activation, keys=(NEW,))
    refused("no key of two", activation, keys=(NEW, ZERO))
    for bit, where in ((0, "first of the secret"), (255, "last of the secret"),
                       (256, "first of the signature"), (511, "last of the signature")):
        refused(f"flipped bit, {where}", flip(activation, bit))
    refused("flipped bit, recovery", flip(recovery, 300), "06435", action=RECOVER)
    refused("signature of zeros", encode(ONES + bytes(32)))
    refused("secret and signature swapped", encode(
        (lambda data: data[32:] + data[:32])(base64.urlsafe_b64decode(activation + "=="))))
    refused("wrong code", recovery, "06436", action=RECOVER)
    refused("no code", recovery, None, action=RECOVER)
    refused("empty code", recovery, "", action=RECOVER)
    refused("code without its zero", recovery, "6435", action=RECOVER)
    refused("code with a blank", recovery, "06435 ", action=RECOVER)
    refused("code in other digits", recovery, "٠٦٤٣٥", action=RECOVER)
    refused("recovery as activation", recovery, "06435")
    refused("activation as recovery", activation, "06435", action=RECOVER)
    refused("another path", activation, action=("/activate/", False))
    refused("the path alone decides", activation, action=("/Activate", False))
    refused("the code not signed", recovery, "06435", action=("/recover", False))
    for last in "RSTU":
        refused(f"not canonical: last character {last}", activation[:-1] + last)
    refused("padded", activation + "==")
    refused("padded to the right length", activation[:-2] + "==")
    refused("one character short", activation[:-1])
    refused("one character more", activation + "A")
    refused("cut to the secret", encode(ONES))
    refused("twice", activation + activation)
    refused("empty", "")
    refused("the other alphabet", recovery.replace("-", "+"), "06435", action=RECOVER)
    refused("blank in front", " " + activation[:-1])
    refused("line feed at the end", activation[:-1] + "\n")
    refused("not ASCII", activation[:-2] + "é")
    return {
        "about": "key, secret: hexadecimal. sign: the token to make. verify: the secret to return, "
                 "or null where the token is to be refused. code: as typed, null if none.",
        "sign": sign,
        "verify": verify,
    }


def lines():
    accepted, refused = [], []
    one, two = token(OLD, ACTIVATE, ONES), token(OLD, RECOVER, TWOS, "06435")

    def row(action=1, email="ada@example.com", login="ada", text=one, code="06435"):
        return {"action": action, "email": email, "login": login, "token": text, "code": code}

    def plain(*rows):
        return ",".join(str(value or "") for row in rows for value in row.values())

    def written(name, *rows):
        line = io.StringIO()
        writer = csv.writer(line, lineterminator="\n")
        writer.writerow([value for row in rows for value in row.values()])
        accepted.append({"name": name, "line": line.getvalue(), "rows": rows, "written": True})

    def read(name, line, *rows):
        accepted.append({"name": name, "line": line, "rows": rows, "written": False})

    def bad(name, line, reason):
        refused.append({"name": name, "line": line, "reason": reason})

    recovery = row(2, "grace@example.com", "grace", two)
    written("one row", row())
    written("recovery", recovery)
    written("two rows of two actions", row(), recovery)
    written("three rows", row(), recovery, row(email="c@example.com", login="c"))
    written("no code", row(code=None))
    written("no code, and a row after it", row(code=None), recovery)
    written("empty login", row(login=""))
    written("the largest action", row(32767))
    for login in ('"', '""', 'a"b', '"a"', 'a"', ",", ",,,", "a,b", '","', "#x", "# 1,2", "'", "\\",
                  '\\"', " ", " a", "a ", " a , b ", "null", "0", "=1+1", "ǆ字🦀", "e\u0301", "\u00a0",
                  "\ufeffa", "\u200b", "<a href='x'>", '{{login}}', '"}', "x" * 254, "🦀" * 254,
                  '"' * 254):
        written("login " + (login if len(login) < 20 else f"{login[0]} × {len(login)}"),
                row(login=login), recovery)
    written("an injection is one login",
            row(login="m,x,11111,1,victim@corp.test,EvilLogin"), recovery)
    written("quoted local part", row(email='"a,b"@example.com'))
    written("address of 254 characters", row(email="é" * 242 + "@example.com"))

    read("no line feed", plain(row()), row())
    read("carriage return", plain(row()) + "\r\n", row())
    read("needless quotes", ",".join(f'"{value}"' for value in row().values()) + "\n", row())
    read("bare quote inside an unquoted field", plain(row(login='a"b')) + "\n", row(login='a"b'))

    count = "not a multiple of 5"
    bad("empty", "", "line has no rows")
    bad("line feed alone", "\n", "line has no rows")
    bad("carriage return and line feed alone", "\r\n", "line has no rows")
    bad("blank", " \n", f"1 fields, {count}")
    bad("four fields", "1,a@example.com,ada," + one + "\n", f"4 fields, {count}")
    bad("six fields", plain(row()) + ",\n", f"6 fields, {count}")
    bad("a bare comma in a login", plain(row(login="a,b")) + "\n", f"6 fields, {count}")
    bad("two lines", plain(row()) + "\n" + plain(row()) + "\n", "line feed inside the line")
    bad("line feed in front", "\n" + plain(row()) + "\n", "line feed inside the line")
    bad("two line feeds", plain(row()) + "\n\n", "line feed inside the line")
    bad("quoted line feed", plain(row(login='"a\nb"')) + "\n", "line feed inside the line")
    bad("open quote", plain(row(login='"ada')) + "\n", "unterminated quote")
    bad("open quote in the last field", plain(row(code='"06435')) + "\n", "unterminated quote")
    bad("open quote at the very end", plain(row(code='"')), "unterminated quote")
    bad("text after a quote", plain(row(login='"a"b')) + "\n", "text after a closing quote")
    bad("blank after a quote", plain(row(login='"a" ')) + "\n", "text after a closing quote")
    for action in ("0", "-1", "+1", "01", "32768", "65537", "99999999999", "1.0", " 1", "1 ", "x",
                   "", "١", "\ufeff1"):
        bad(f"action {action}", f"{action},a@example.com,ada,{one},06435\n",
            "row 1: action is not a number from 1 to 32767")
    bad("empty email", plain(row(email="")) + "\n", "row 1: email is empty")
    bad("long email", plain(row(email="x" * 255)) + "\n", "row 1: email has more than 254 characters")
    bad("long login", plain(row(login="🦀" * 255)) + "\n", "row 1: login has more than 254 characters")
    for name, char in (("NUL", "\0"), ("tab", "\t"), ("carriage return", "\r"), ("DEL", "\x7f"),
                       ("next line", "\x85"), ("line separator", "\u2028"),
                       ("paragraph separator", "\u2029")):
        bad(f"{name} in a login", plain(row(), row(login=f"a{char}b")) + "\n",
            "row 2: login has control characters")
        bad(f"{name} in an email", plain(row(email=f"a{char}@example.com")) + "\n",
            "row 1: email has control characters")
    for name, text in (("empty", ""), ("padded", one + "=="), ("short", one[:-1]),
                       ("long", one + "A"), ("not canonical", one[:-1] + "R"),
                       ("the other alphabet", two.replace("-", "+"))):
        bad(f"token {name}", plain(recovery, row(), row(text=text)) + "\n",
            "row 3: token is not 86 characters of valid base64url")
    for code in ("1234", "123456", "#####", "1234x", " 1234", "٠٦٤٣٥"):
        bad(f"code {code}", plain(row(code=code)) + "\n", "row 1: code is not five digits")
    return {
        "about": "accepted: the rows a line holds; where written is true, the rows make exactly that "
                 "line. refused: with the reason given. code: null is an empty field.",
        "accepted": accepted,
        "refused": refused,
    }


for name, content in (("tokens", tokens()), ("lines", lines())):
    text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
    (HERE / f"{name}.json").write_text(text)
