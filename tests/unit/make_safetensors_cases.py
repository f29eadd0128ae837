#!/usr/bin/env python3
"""Ask the reference implementation what it accepts, and write the table.

    pip install safetensors==0.8.0
    tests/unit/make_safetensors_cases.py > tests/unit/safetensors_cases.json

Each case is {"name", "accept", "file"}: the file as a list of pieces, each
[hex, times] for so many repeats of the bytes.  "differs", where it is there,
says why emad does not do what the reference does.
"""

import json
import struct
import sys

import safetensors

CASES = []
PLAIN = '"dtype":"F32","shape":[1],"data_offsets":[0,4]'
EMPTY = '"dtype":"F32","shape":[0],"data_offsets":[0,0]'


def raw(name, *pieces, differs=None):
    """A case whose file is @pieces: bytes, or (bytes, times)."""
    pieces = [p if isinstance(p, tuple) else (p, 1) for p in pieces]
    data = b"".join(text * times for text, times in pieces)
    try:
        safetensors.deserialize(data)
        accept = True
    except safetensors.SafetensorError:
        accept = False
    case = {"name": name, "accept": accept,
            "file": [[text.hex(), times] for text, times in pieces
                     if text and times]}
    if differs:
        case["differs"] = differs
    CASES.append(case)


def header(name, *pieces, data=0, differs=None):
    """A case whose header is @pieces (str, bytes, or (…, times))."""
    pieces = [p if isinstance(p, tuple) else (p, 1) for p in pieces]
    pieces = [(t.encode() if isinstance(t, str) else t, n) for t, n in pieces]
    size = sum(len(text) * times for text, times in pieces)
    raw(name, struct.pack("<Q", size), *pieces, (b"\0", data),
        differs=differs)


def tensor(name, dtype='"F32"', shape="[1]", offsets="[0,4]", data=4):
    header(name, '{"a":{"dtype":%s,"shape":%s,"data_offsets":%s}}'
           % (dtype, shape, offsets), data=data)


def skipped(name, value, **options):
    """A case whose tensor has @value in a field that nobody knows."""
    value = value if isinstance(value, tuple) else (value,)
    header(name, '{"a":{%s,"zz":' % EMPTY, *value, "}}", **options)


def lengths():
    raw("no bytes at all")
    raw("seven bytes", b"\x02\0\0\0\0\0\0")
    raw("size field only, size 0", struct.pack("<Q", 0))
    raw("size field only, size 2", struct.pack("<Q", 2))
    raw("header of one byte", struct.pack("<Q", 1), b"{")
    raw("header one byte beyond the file", struct.pack("<Q", 3), b"{}")
    raw("one byte behind the header", struct.pack("<Q", 2), b"{}", b"x")
    raw("a size of 2^63", struct.pack("<Q", 1 << 63), b"{}")
    raw("a size of 2^64 - 1", b"\xff" * 8, b"{}")
    raw("a size of 2^64 - 8", struct.pack("<Q", (1 << 64) - 8), b"{}")
    raw("a size of 100000001, short file", struct.pack("<Q", 10**8 + 1), b"{}")
    header("a header of 100000000 bytes", "{}", (" ", 10**8 - 2))
    header("a header of 100000001 bytes", "{}", (" ", 10**8 - 1))
    tensor("data one byte short", data=3)
    tensor("data one byte long", data=5)
    tensor("no data", data=0)


def whitespace():
    header("an empty object", "{}")
    header("padding of spaces", "{}", (" ", 100))
    header("padding of newlines, tabs and returns", "{}\n\t\r\n")
    header("padding of zeros", "{}\0\0")
    header("padding of vertical tabs", "{}\v")
    header("padding of form feeds", "{}\f")
    header("padding of no-break spaces", "{}\u00a0")
    header("space before the object", " \n\t\r{}")
    header("spaces everywhere", ' { "a" : { "dtype" : "F32" , "shape" : [ 1 , '
           '1 ] , "data_offsets" : [ 0 , 4 ] } , "__metadata__" : { } } ',
           data=4)
    header("a byte order mark", "\ufeff{}")
    header("two objects", "{}{}")
    header("a comment", "{}//")


def top_level():
    for text in ("[]", "null", "1", '"a"', "true", "", "{", "}", '{"a"}',
                 '{"a":}', "{,}", "{a:1}", "{'a':1}", '{"a":1}', '{"a":null}',
                 '{"a":true}', '{"a":"b"}', '{"a":[]}', '{"a":{}}', '{1:{}}'):
        header("the header " + text, text)
    header("a comma too many", '{"a":{%s},}' % EMPTY)
    header("a comma missing", '{"a":{%s}"b":{%s}}' % (EMPTY, EMPTY))
    header("a colon missing", '{"a"{%s}}' % EMPTY)
    header("a bracket missing", '{"a":{%s}' % EMPTY)
    header("a bracket too many", '{"a":{%s}}}' % EMPTY)


def metadata():
    for text in ("{}", "null", "[]", '""', "1", "true", "nul", "nullx",
                 '{"a":"b"}', '{"a":1}', '{"a":null}', '{"a":{}}', '{"a":[]}',
                 '{"a":"b","a":"c"}', '{"a":1,"a":"b"}', '{"a":"b",}',
                 '{"a"}', '{"":""}', '{"a":"b" "c":"d"}', '[["a","b"]]'):
        header("metadata " + text, '{"__metadata__":%s}' % text)
    header("metadata twice", '{"__metadata__":{},"__metadata__":{}}')
    header("metadata twice, null", '{"__metadata__":null,"__metadata__":null}')
    header("metadata twice, escaped",
           '{"__metadata__":{},"\\u005f_metadata__":{}}')
    header("metadata escaped, a number", '{"\\u005f_metadata__":{"a":1}}')
    header("metadata behind a tensor",
           '{"a":{%s},"__metadata__":{"a":"b"}}' % PLAIN, data=4)
    header("metadata that is a tensor", '{"__metadata__":{%s}}' % EMPTY)
    nul = "our strings end in NUL"
    header("NUL in metadata's value", '{"__metadata__":{"a":"\\u0000"}}',
           differs=nul)
    header("NUL in metadata's key", '{"__metadata__":{"a\\u0000":"a"}}',
           differs=nul)


def entries():
    header("a tensor", '{"a":{%s}}' % PLAIN, data=4)
    for field in PLAIN.split(',"'):
        field = field if field[0] == '"' else '"' + field
        rest = PLAIN.replace(field, "").replace(",,", ",").strip(",")
        header("without " + field, '{"a":{%s}}' % rest, data=4)
        header("twice " + field, '{"a":{%s,%s}}' % (PLAIN, field), data=4)
        header("twice escaped " + field, '{"a":{%s,%s}}'
               % (PLAIN, field.replace('"d', '"\\u0064').replace(
                   '"s', '"\\u0073')), data=4)
    header("fields in another order", '{"a":{"data_offsets":[0,4],"shape":[1],'
           '"dtype":"F32"}}', data=4)
    header("a field escaped", '{"a":{"\\u0064type":"F32","shape":[1],'
           '"data_offsets":[0,4]}}', data=4)
    header("a field in capitals", '{"a":{%s}}' % PLAIN.replace("shape",
           "Shape"), data=4)
    header("a field with NUL", '{"a":{%s,"dtype\\u0000":1}}' % PLAIN, data=4)
    header("a field too many, twice", '{"a":{%s,"z":1,"z":2}}' % PLAIN, data=4)
    for text in ('["F32",[1],[0,4]]', '["F32",[1]]', '["F32",[1],[0,4],1]',
                 '["F32",[1],[0,4],]', '[[1],"F32",[0,4]]', "[]",
                 '[{"F32":null},[1],[0,4]]'):
        header("an array " + text, '{"a":%s}' % text, data=4)
    header("a name twice", '{"a":{%s},"a":{%s}}' % (PLAIN, PLAIN), data=4)
    header("a name twice, the first with no good offsets",
           '{"a":{"dtype":"F32","shape":[7],"data_offsets":[9,1]},"a":{%s}}'
           % PLAIN, data=4)
    header("a name twice, the first with no good dtype",
           '{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]},"a":{%s}}'
           % PLAIN, data=4)
    header("a name twice, the last with no good offsets",
           '{"a":{%s},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
           % PLAIN, data=4)
    header("a name twice, adjoining", '{"a":{%s},"a":{"dtype":"F32","shape":'
           '[1],"data_offsets":[4,8]}}' % PLAIN, data=8)
    header("a name twice, once escaped", '{"a":{%s},"\\u0061":{%s}}'
           % (PLAIN, PLAIN), data=4)
    header("a name twice, the first null", '{"a":null,"a":{%s}}' % PLAIN,
           data=4)


DTYPES = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8,
          "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
          "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
          "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
          "U64": 64}


def dtypes():
    for name, bits in DTYPES.items():
        tensor("dtype %s" % name, '"%s"' % name, "[2,4]", "[0,%d]" % bits,
               bits)
        tensor("dtype %s, a byte too many" % name, '"%s"' % name, "[2,4]",
               "[0,%d]" % (bits + 1), bits + 1)
        for n in range(1, 4):
            size = n * bits // 8
            tensor("dtype %s, %d elements" % (name, n), '"%s"' % name,
                   "[%d]" % n, "[0,%d]" % size, size)
    for text in ('"F32 "', '"f32"', '"FLOAT"', '""', '"F128"', '"C128"',
                 '"F8"', '"F32\\u0000"', '"\\u00463\\u0032"', "null", "17",
                 "[]", '["F32"]', "{}", '{"F32":null}', '{"F32":{}}',
                 '{"F32":[]}', '{"F32":0}', '{"F32":null,"F32":null}',
                 '{"F32":null,"F16":null}', '{"F33":null}',
                 '{"\\u0046\\u00332":null}', '{"F32":false}'):
        tensor("dtype " + text, text)


def shapes():
    big = ("18446744073709551615", "9223372036854775808",
           "9223372036854775807", "18446744073709551616", "1" + "0" * 30)
    for text in ("[]", "[1]", "[1,1,1,1,1,1,1,1,1,1]", "[2]", "null", "{}",
                 "1", '"1"', "[null]", '["1"]', "[[1]]", "[1.0]", "[1e0]",
                 "[-1]", "[-0]", "[+1]", "[01]", "[00]", "[1,]", "[,1]",
                 "[1 1]", "[1", "[true]", "[0x1]", "[ 1 ]", "[1.]", "[1e]"):
        tensor("shape " + text, shape=text)
    for text in ("[0]", "[0,7]", "[7,0]", "[-0]", "[0.0]", "[0e0]", "[-1,0]",
                 *("[0,%s]" % n for n in big), *("[%s,0]" % n for n in big),
                 "[%s,%s,0]" % (big[0], big[0]),
                 "[0,%s,%s]" % (big[0], big[0]), "[%s]" % big[0],
                 "[4294967296,4294967296]", "[4611686018427387904]",
                 "[2305843009213693952,2]", "[4611686018427387904,4]"):
        tensor("empty, shape " + text, shape=text, offsets="[0,0]", data=0)
    header("100000 dimensions", '{"a":{"dtype":"F32","data_offsets":[0,4],'
           '"shape":[1', (",1", 99999), "]}}", data=4)


def offsets():
    for text in ("[]", "[0]", "[0,4,4]", "[0,4,]", "null", "{}", "4",
                 '["0","4"]', "[0.0,4]", "[0,4.0]", "[-0,4]", "[0,-4]",
                 "[4,0]", "[0,4e0]", "[1,5]", "[0,3]", "[0,5]", "[4,8]",
                 "[0,18446744073709551620]", "[0,18446744073709551615]",
                 "[0,36893488147419103236]", "[18446744073709551612,0]",
                 "[00,4]", "[0,04]", "[ 0 , 4 ]", '{"0":0,"1":4}'):
        tensor("data_offsets " + text, offsets=text)
    pair = ('{"a":{"dtype":"F32","shape":[%d],"data_offsets":[%d,%d]},'
            '"b":{"dtype":"F32","shape":[%d],"data_offsets":[%d,%d]}}')
    for name, numbers, size in (
            ("two tensors", (1, 0, 4, 1, 4, 8), 8),
            ("two tensors, the later first", (1, 4, 8, 1, 0, 4), 8),
            ("a hole", (1, 0, 4, 1, 5, 9), 9),
            ("a hole at the start", (1, 4, 8, 1, 8, 12), 12),
            ("a hole at the end", (1, 0, 4, 1, 4, 8), 9),
            ("an overlap", (2, 0, 8, 1, 4, 8), 8),
            ("the same bytes twice", (1, 0, 4, 1, 0, 4), 4),
            ("an empty one between", (0, 4, 4, 1, 0, 4), 4),
            ("two empty ones", (0, 0, 0, 0, 0, 0), 0),
            ("an empty one first", (0, 0, 0, 1, 0, 4), 4),
            ("an empty one last", (1, 0, 4, 0, 4, 4), 4),
            ("an empty one inside", (2, 0, 8, 0, 4, 4), 8),
            ("an empty one beyond", (1, 0, 4, 0, 8, 8), 4)):
        header(name, pair % numbers, data=size)


def names():
    for what, name in (("nothing", ""), ("a space", " "), ("accents", "é"),
                       ("beyond the BMP", "\U0001f600"), ("a quote", '\\"'),
                       ("a slash", "\\/"), ("escapes", "\\b\\f\\n\\r\\t\\\\"),
                       ("a surrogate pair", "\\ud83d\\ude00"),
                       ("a pair in capitals", "\\uD83D\\uDE00"),
                       ("DEL", "\x7f"), ("a noncharacter", "\uffff"),
                       ("a lone lead", "\\ud83d"), ("a lone tail", "\\ude00"),
                       ("a lead and a letter", "\\ud83dx"),
                       ("a lead and no tail", "\\ud83d\\u0041"),
                       ("two leads", "\\ud83d\\ud83d"), ("half", "\\u00"),
                       ("no hex", "\\u00zz"), ("no escape", "\\x"),
                       ("a newline", "\n"), ("a tab", "\t"), ("0x1f", "\x1f"),
                       ("a raw NUL", "\0"), ("a dot", "."), ("..", "..")):
        header("a name of " + what, '{"%s":{%s}}' % (name, EMPTY))
    header("a name of NUL", '{"\\u0000":{%s}}' % EMPTY,
           differs="our strings end in NUL")
    for what, name in (("0xff", b"\xff"), ("a cut character", b"\xc3"),
                       ("a lone tail byte", b"\x80"), ("overlong", b"\xc0\xaf"),
                       ("overlong, 3", b"\xe0\x80\xaf"),
                       ("a surrogate", b"\xed\xa0\x80"),
                       ("a pair of them", b"\xed\xa0\xbd\xed\xb8\x80"),
                       ("beyond", b"\xf4\x90\x80\x80"),
                       ("5 bytes", b"\xf8\x88\x80\x80\x80")):
        header("bytes of " + what, b'{"', name, '":{%s}}' % EMPTY)
        skipped("skipped bytes of " + what, (b'"', name, b'"'))
    header("a long name", '{"', ("x", 1 << 20), '":{%s}}' % EMPTY)


def fields():
    for text in ("1", "-1", "-0", "1.5", "1e5", "1E+5", "1e-5", "1e-999",
                 "1e308", "1e309", "-1e309", "1e999", "0e999",
                 "9223372036854775808", "-9223372036854775809",
                 "18446744073709551616", "9" * 308, "9" * 310, "0." + "0" * 400,
                 "nan", "NaN", "Infinity", "-", "1.", ".5", "+1", "01", "-01",
                 "1e", "1e+", "0x1", "1_0", "true", "false", "True", "null",
                 "truefalse", "{}", "[]", "[1,]", '{"a":1,}', '{"a":1,"a":2}',
                 '{"":{"":[]}}', '"\\u0000"', '"\\ud800"', '"a', "[1 2]", "",
                 "'a'", '{"a"}', "{1:2}", '[{"a":[{"b":[null]}]}]'):
        skipped("skipped " + (text if len(text) < 40 else
                              "%s, %d characters" % (text[:9], len(text))),
                text)
    skipped("skipped NUL in a key", '{"\\u0000":1}',
            differs="jansson's keys end in NUL")
    for n in (124, 125, 126, 127, 128, 5000, 1000000):
        skipped("skipped, %d arrays deep" % n, (("[", n), ("]", n)))
    skipped("skipped, 125 objects deep", (('{"a":', 125), "1", ("}", 125)))
    skipped("skipped, 126 objects deep", (('{"a":', 126), "1", ("}", 126)))
    skipped("skipped, brackets in a string", ('"', ("[{", 500), '"'))
    skipped("skipped, a quote in a string", ('"\\"', ("[{", 500), '"'))
    header("100000 brackets", ("[", 100000))
    header("100000 objects", ('{"a":', 100000))


for section in (lengths, whitespace, top_level, metadata, entries, dtypes,
                shapes, offsets, names, fields):
    section()
assert len({case["name"] for case in CASES}) == len(CASES)
lines = ",\n".join(json.dumps(case) for case in CASES)
sys.stdout.write("[\n" + lines + "\n]\n")
