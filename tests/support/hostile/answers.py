"""Hubs, registries and file servers that answer what they should not."""

import gzip
import json

from paddock.api.pull import PullReason
from support.hostile.case import FILE, HEX, MANIFEST, Case, document, file, hub, registry
from support.raw_server import Answer, endless, reply

REFUSED, FORMAT, FORBIDDEN, UNREACHABLE, NOT_FOUND, ARTIFACT, MISMATCH, FULL, DENIED = (
    PullReason.SOURCE_REFUSED,
    PullReason.UNSUPPORTED_FORMAT,
    PullReason.SOURCE_FORBIDDEN,
    PullReason.SOURCE_UNREACHABLE,
    PullReason.SOURCE_NOT_FOUND,
    PullReason.INVALID_ARTIFACT,
    PullReason.DIGEST_MISMATCH,
    PullReason.INSUFFICIENT_STORAGE,
    PullReason.SOURCE_UNAUTHORIZED,
)
SHA = "c" * 40
DIGEST = f"sha256:{HEX}"
WEIGHTS = "application/vnd.ollama.image.model"
BOMB = gzip.compress(bytes(64 << 20))

NO_DOCUMENTS: tuple[tuple[str, Answer], ...] = (
    ("no bytes", reply()),
    ("html", reply(b"<html>sign in</html>", Content_Type="text/html")),
    ("null", reply(b"null")),
    ("a list", reply(b"[]")),
    ("a number", reply(b"7")),
    ("a string", reply(b'"x"')),
    ("half an object", reply(b'{"sha":')),
    ("two objects", reply(b"{}{}")),
    ("bad UTF-8", reply(b'{"\xff\xfe": 1}')),
    ("NUL", reply(b"\x00" * 64)),
    ("deep nesting", reply(b"[" * 200_000)),
    ("deep objects", reply(b'{"a":' * 200_000)),
    ("a number of 5000 digits", reply(b'{"sha": ' + b"9" * 5000 + b"}")),
    ("gzip that was not asked for", reply(gzip.compress(b"{}"), Content_Encoding="gzip")),
    ("a gzip bomb", reply(BOMB, Content_Encoding="gzip")),
    ("more than a document", reply(b" " * (5 << 20))),
    ("a body without end", endless(b" " * 65536)),
    (
        "chunks without end",
        endless(b"400\r\n" + b" " * 1024 + b"\r\n", Transfer_Encoding="chunked"),
    ),
)
"""Of a hub and of a registry alike; each is refused."""

HUB_LISTS: tuple[tuple[str, PullReason, object], ...] = (
    ("nothing", REFUSED, {}),
    ("no commit", REFUSED, {"siblings": []}),
    ("commit of another type", REFUSED, {"siblings": [], "sha": 7}),
    ("commit that is a path", REFUSED, {"siblings": [], "sha": "../../x"}),
    ("commit with a query", REFUSED, {"siblings": [], "sha": "a?b=c"}),
    ("commit with a line", REFUSED, {"siblings": [], "sha": "abc\r\nX: y"}),
    ("commit beyond all length", REFUSED, {"siblings": [], "sha": "a" * 100_000}),
    ("commit in other letters", REFUSED, {"siblings": [], "sha": "\u0430\u0431\u0432"}),
    ("no commit's letters", REFUSED, {"siblings": [], "sha": ""}),
    ("files as an object", REFUSED, {"siblings": {"a": 1}, "sha": SHA}),
    ("files as a string", REFUSED, {"siblings": "m.gguf", "sha": SHA}),
    ("no file", FORMAT, {"siblings": [], "sha": SHA}),
    ("files that are numbers", FORMAT, {"siblings": [1, None, "x", []], "sha": SHA}),
    ("file without a name", FORMAT, {"siblings": [{}], "sha": SHA}),
    ("file whose name is a list", FORMAT, {"siblings": [{"rfilename": ["a"]}], "sha": SHA}),
    ("pickles only", FORMAT, {"siblings": [{"rfilename": "pytorch_model.bin"}], "sha": SHA}),
    (
        "more files than a model has",
        REFUSED,
        {"siblings": [{"rfilename": f"m{n}.safetensors"} for n in range(1500)], "sha": SHA},
    ),
    (
        "file that is not there",
        NOT_FOUND,
        {
            "siblings": [{"rfilename": "m.gguf", "size": 10**30, "lfs": {"sha256": "Z" * 64}}],
            "sha": SHA,
        },
    ),
    (
        "sizes below nothing",
        NOT_FOUND,
        {"siblings": [{"rfilename": "m.gguf", "size": -1}], "sha": SHA},
    ),
    (
        "lfs of another type",
        NOT_FOUND,
        {"siblings": [{"rfilename": "m.gguf", "lfs": 7}], "sha": SHA},
    ),
)

NAMES = (
    "../m.gguf", "../../../etc/m.gguf", "/etc/m.gguf", "//m.gguf", "a//m.gguf", "a/../m.gguf",
    "./m.gguf", "..", ".", ".gguf", ".hidden.gguf", "-rf.gguf", "~.gguf", "$HOME.gguf",
    "m.gguf\x00", "m\x00.gguf", "m\n.gguf", "m\r.gguf", "m\t.gguf", "m\x1b[2J.gguf", "m\x7f.gguf",
    "a\\b.gguf", "..\\..\\m.gguf", "C:\\m.gguf", "C:m.gguf", "\\\\host\\m.gguf", "m.gguf:stream",
    "con .gguf", "m .gguf", " m.gguf", "m?.gguf", "m*.gguf", "m|.gguf", 'm".gguf', "m<.gguf",
    "m%2e%2e%2f.gguf", "m#.gguf", "m;id.gguf", "m`id`.gguf", "$(id).gguf", "m\u202e.gguf",
    "\u2024\u2024/m.gguf", "m\uff0f.gguf", "\u0430.gguf", "m\u0301.gguf", "m\U0001f4a3.gguf",
    "m\ud800.gguf", f"{'a' * 250}.gguf", f"{'a/' * 500}../m.gguf",
)  # fmt: skip
"""Names no file of ours may have; each in a hub's list, and as a layer's title."""


def _layer(**more: object) -> dict[str, object]:
    return {"mediaType": WEIGHTS, "digest": DIGEST, "size": 4, **more}


def _titled(title: object) -> dict[str, object]:
    return _layer(annotations={"org.opencontainers.image.title": title})


MANIFESTS: tuple[tuple[str, PullReason, object], ...] = (
    ("nothing", REFUSED, {}),
    ("layers missing", REFUSED, {"schemaVersion": 2, "config": {}}),
    ("layers null", REFUSED, {"layers": None}),
    ("layers an object", REFUSED, {"layers": {"0": _layer()}}),
    ("no layer", REFUSED, {"layers": []}),
    ("an index", REFUSED, {"manifests": [{"digest": DIGEST}]}),
    ("layer null", REFUSED, {"layers": [None]}),
    ("layer a string", REFUSED, {"layers": [DIGEST]}),
    ("digest missing", REFUSED, {"layers": [{"mediaType": WEIGHTS}]}),
    ("digest a number", REFUSED, {"layers": [_layer(digest=7)]}),
    ("digest of md5", REFUSED, {"layers": [_layer(digest="md5:" + "0" * 32)]}),
    ("digest a path", REFUSED, {"layers": [_layer(digest="sha256:../../x")]}),
    ("digest and a line", REFUSED, {"layers": [_layer(digest=DIGEST + "\n")]}),
    ("digest too long", REFUSED, {"layers": [_layer(digest=DIGEST + "0")]}),
    ("digest in capitals", REFUSED, {"layers": [_layer(digest="sha256:" + "A" * 64)]}),
    ("media type missing", REFUSED, {"layers": [{"digest": DIGEST}]}),
    ("media type a list", REFUSED, {"layers": [_layer(mediaType=[WEIGHTS])]}),
    ("pickle", FORMAT, {"layers": [_layer(mediaType="application/vnd.x.pickle")]}),
    ("pytorch", FORMAT, {"layers": [_layer(mediaType="application/vnd.x.pytorch.v1")]}),
    ("texts only", FORMAT, {"layers": [_layer(mediaType="application/vnd.ollama.image.system")]}),
    ("more layers than files", REFUSED, {"layers": [_layer()] * 1001}),
    ("title a number", REFUSED, {"layers": [_titled(7)]}),
    ("layer that is not there", NOT_FOUND, {"layers": [_layer(size=10**30)]}),
    ("annotations a list", NOT_FOUND, {"layers": [_layer(annotations=["x"])]}),
)

_HEADER: Answer = lambda: [b"HTTP/1.1 200 So\r\nX-Long: ", *[b"y" * 4096] * 64]  # noqa: E731 - a table's value
CHALLENGES: tuple[tuple[str, PullReason, str], ...] = (
    ("no realm", FORBIDDEN, 'Bearer service="x"'),
    ("empty realm", FORBIDDEN, 'Bearer realm=""'),
    ("realm of a file", FORBIDDEN, 'Bearer realm="file:///etc/passwd"'),
    ("realm in the link-local network", FORBIDDEN, 'Bearer realm="http://169.254.169.254/token"'),
    ("realm with a user", REFUSED, 'Bearer realm="http://u:p@{host}/token"'),
    ("realm that is not there", NOT_FOUND, 'Bearer realm="http://{host}/nowhere"'),
    ("realm that is the registry again", DENIED, 'Bearer realm="http://{host}/denied"'),
    ("token missing", DENIED, 'Bearer realm="http://{host}/none"'),
    ("token a number", DENIED, 'Bearer realm="http://{host}/number"'),
    ("token with a line", DENIED, 'Bearer realm="http://{host}/line"'),
    ("another scheme", DENIED, 'Digest realm="x"'),
    ("no scheme", DENIED, ""),
)
_TOKENS = {
    "/denied": reply(status=401),
    "/none": document({}),
    "/number": document({"token": 7}),
    "/line": document({"token": "a\r\nX-Evil: 1"}),
}

FILES: tuple[tuple[str, PullReason, Answer], ...] = (
    ("length of no number", REFUSED, reply(b"GGUF", Content_Length="four")),
    ("length below nothing", REFUSED, reply(b"GGUF", Content_Length="-4")),
    ("length in other digits", REFUSED, reply(b"GGUF", Content_Length="\u00b2")),
    ("length of 5000 digits", REFUSED, reply(b"GGUF", Content_Length="9" * 5000)),
    ("length beyond every disk", FULL, reply(b"GGUF", Content_Length="9" * 18)),
    ("length and no body", UNREACHABLE, reply(b"GGUF", Content_Length="4096")),
    ("body without end", REFUSED, endless(bytes(65536))),
    ("chunks without end", REFUSED, endless(b"4\r\nGGUF\r\n", Transfer_Encoding="chunked")),
    ("no HTTP", UNREACHABLE, lambda: [b"SSH-2.0-x\r\n"]),
    ("nothing", UNREACHABLE, list),
    ("half a status", UNREACHABLE, lambda: [b"HTTP/1.1 20"]),
    ("status of letters", UNREACHABLE, lambda: [b"HTTP/1.1 abc So\r\n\r\n"]),
    ("status of six digits", UNREACHABLE, lambda: [b"HTTP/1.1 200200 So\r\n\r\n"]),
    ("header without end", UNREACHABLE, _HEADER),
    ("a header line too long", UNREACHABLE, reply(X_Long="y" * 70_000)),
    ("a thousand headers", UNREACHABLE, reply(**{f"X-{n}": "y" for n in range(1000)})),
    ("range without a size", REFUSED, reply(b"G", 206, Content_Range="bytes 0-0/*")),
    ("range of no bytes", REFUSED, reply(b"G", 206, Content_Range="0-0/4")),
    ("range missing", REFUSED, reply(b"G", 206)),
    ("range of 5000 digits", REFUSED, reply(b"G", 206, Content_Range="bytes 0-0/" + "9" * 5000)),
    ("range beyond every disk", FULL, reply(b"G", 206, Content_Range="bytes 0-0/" + "9" * 18)),
    ("range that never fits", REFUSED, reply(b"G", 206, Content_Range="bytes 7-7/9", ETag='"x"')),
    ("no content", REFUSED, reply(status=204)),
    ("teapot", REFUSED, reply(status=418)),
    ("legal reasons", REFUSED, reply(status=451)),
    ("gone", NOT_FOUND, reply(status=410)),
    ("always busy", UNREACHABLE, reply(status=503, Retry_After="0")),
    ("busy in no number", UNREACHABLE, reply(status=429, Retry_After="\u00b2")),
    ("gzip", FORMAT, reply(gzip.compress(b"GGUF"), Content_Encoding="gzip")),
    ("a gzip bomb", FORMAT, reply(BOMB, Content_Encoding="gzip")),
)

_HUB_NAMES = ((name, document({"siblings": [{"rfilename": name}], "sha": SHA})) for name in NAMES)
CASES = (
    *(hub(name, REFUSED, answer) for name, answer in NO_DOCUMENTS),
    *(registry(name, REFUSED, answer) for name, answer in NO_DOCUMENTS),
    *(hub(name, reason, document(value)) for name, reason, value in HUB_LISTS),
    *(hub(f"the name {name[-40:]!r}", FORMAT, answer) for name, answer in _HUB_NAMES),
    *(registry(name, reason, document(value)) for name, reason, value in MANIFESTS),
    *(
        registry(f"the title {title[-40:]!r}", REFUSED, document({"layers": [_titled(title)]}))
        for title in NAMES
    ),
    *(
        Case(
            f"login: {name}",
            reason,
            "oci://{host}/o/r:t",
            {MANIFEST: reply(status=401, WWW_Authenticate=challenge), **_TOKENS},
        )
        for name, reason, challenge in CHALLENGES
    ),
    Case(
        "registry: manifest of another digest",
        MISMATCH,
        f"oci://{{host}}/o/r@{DIGEST}",
        {f"/v2/o/r/manifests/{DIGEST}": document({"layers": [_layer()]})},
    ),
    *(Case(f"file: {name}", reason, answers={FILE: answer}) for name, reason, answer in FILES),
    *(
        file(f"file called {name} of {len(content)} bytes", FORMAT, content, f"/{name}")
        for name, content in (
            ("m.bin", b"MZ" + bytes(64)), ("m.pkl", b"\x80\x04." + bytes(64)), ("m.gguf", b""),
            ("m.zip", b"PK\x03\x04" + bytes(64)), ("m.json", json.dumps({"a": 1}).encode()),
            ("m.txt", b"words"), ("m.gguf", b"GGU"), ("m.gguf", b"FUGG" + bytes(64)),
        )
    ),
)  # fmt: skip
