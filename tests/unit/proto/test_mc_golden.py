#!/usr/bin/env python3
"""Asks a real memcached what it answers to each line of test_mc_golden.def and writes the table again.

    memcached -l 127.0.0.1 -p 21999 &
    tests/unit/proto/test_mc_golden.py 21999 > new.def      # then compare with test_mc_golden.def

The test itself needs no memcached. To add a case: write a row with an empty answer, run this. The store is emptied
before each case. In the table K250 and K251 stand for keys of that length."""
import os
import re
import socket
import sys

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_mc_golden.def")
K251, K250 = b"k" * 251, b"k" * 250


def converse(port, data):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        out = b""
        while True:
            more = s.recv(65536)
            if not more:
                return out
            out += more


def to_bytes(text):
    out = b""
    for word in re.findall(r'"(?:\\.|[^"\\])*"|K25[01]', text):
        if word[0] == "K":
            out += b"k" * int(word[1:])
        else:
            out += re.sub(rb"\\([0-7]{3})|\\(.)", lambda m: bytes([int(m.group(1), 8)]) if m.group(1) else
                          {b"r": b"\r", b"n": b"\n", b"t": b"\t"}.get(m.group(2), m.group(2)), word[1:-1].encode())
    return out


def to_text(data):
    words = {K251: "K251", K250: "K250"}
    out = []
    for piece in re.split(b"(k{251}|k{250})", data):
        if piece in words:
            out.append(words[piece])
        elif piece:
            out.append('"%s"' % "".join(
                {"\r": "\\r", "\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}.get(
                    chr(c), chr(c) if 32 <= c < 127 else "\\%03o" % c) for c in piece))
    return " ".join(out) or '""'


def main():
    port = int(sys.argv[1])
    for line in open(TABLE):
        m = re.match(r"GOLDEN\((.*), (\"(?:\\.|[^\"\\])*\")\)$", line.rstrip("\n"))
        if not m:
            print(line, end="")
            continue
        data = to_bytes(m.group(1))
        converse(port, b"flush_all\r\nverbosity 0\r\n")
        print("GOLDEN(%s, %s)" % (to_text(data), to_text(converse(port, data))))


if __name__ == "__main__":
    main()
