"""Sources and redirects that lead where no pull may go, or that are no sources at all."""

from collections.abc import Mapping

from paddock.api.pull import PullReason
from support.hostile.case import FILE, HEX, Case
from support.raw_server import Answer, reply

SPEC, FORBIDDEN, REFUSED, UNREACHABLE = (
    PullReason.INVALID_SPEC,
    PullReason.SOURCE_FORBIDDEN,
    PullReason.SOURCE_REFUSED,
    PullReason.SOURCE_UNREACHABLE,
)
LONG = "a" * 4096

NOT_SOURCES = (
    "", "m.gguf", "/etc/passwd", "file:///etc/passwd", "ftp://x.example/m.gguf",
    "data:text/plain,x", "gopher://x.example/m.gguf", "javascript:alert(1)", "HTTPS//x.example",
    "https:x.example/m.gguf", "https:///m.gguf", "https://", "https://x.example",
    "https://x.example/", "https://x.example/dir/", "https://x.example/..",
    "https://x.example/.gguf", "https://x.example/a%2fb", "https://x.example/-rf",
    "https://u@x.example/m.gguf", "https://u:p@x.example/m.gguf", "https://@x.example/m.gguf",
    "https://x.example/m.gguf#part", "https://x.example:0/m.gguf", "https://x.example:99999/m.gguf",
    "https://x.example:port/m.gguf", "https://[::1/m.gguf", "https://x.example/m.gguf\n",
    "https://x.example/m.gguf\r\nHost: y", "https://x.example/\x00m.gguf",
    "https://x.example\\@y.example/m.gguf", "https://x.example/m .gguf", "https://\u0435.example/m.gguf",
    "https://x.example/m\u202egguf", f"https://x.example/{LONG}.gguf", f"https://x.example/{'a' * 300}",
    "hf://", "hf://o", "hf://o/", "hf://o//m.gguf", "hf://../r", "hf://o/../m.gguf",
    "hf://o/r/../../m.gguf", "hf://o/r/.hidden", "hf://o/r@../main", "hf://o/r@a..b",
    "hf://o/r@a b", "hf://o/r/m.gguf@\x00", "hf://o?x=1/r", "hf://o/r#x",
    "ollama://", "ollama:///m", "ollama://m:", "ollama://m:../x", "ollama://../m",
    "ollama://r.example:99999999/m", "ollama://R.example/m:t", "ollama://u@r.example/m",
    "oci://", "oci://r.example", "oci://r.example/", "oci://r.example/m@sha256:zz",
    f"oci://r.example/m@md5:{HEX}", f"oci://r.example/m@sha256:{HEX}0", "oci://r.example/../m",
    "oci://r.example:0/m", "oci://[::1]/m", "oci://r.example/m:t/../x",
    "s3://", "s3://b", "s3://b/", "s3://B/k", "s3://b/../k", "s3://bb/k/../../x", "s3://bbb//k",
    "s3://bbb/k?versionId=1", "gs://bbb/.k", "gs://b b/k",
    "pvc://", "pvc://c", "pvc://c/", "pvc://C/m.gguf", "pvc://c/../m.gguf", "pvc://c//etc/passwd",
    "pvc://c/a/../../m.gguf", "pvc://c/m.gguf\x00", "pvc://../c/m.gguf",
)  # fmt: skip

NOT_PUBLIC = (
    "127.0.0.2", "127.2", "127.255.255.254", "2130706434", "0x7f000002", "0177.0.0.2", "0x7f.2",
    "0", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
    "192.168.0.1", "3232235521", "169.254.169.254", "0xa9fea9fe", "0251.0376.0251.0376",
    "2852039166", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "[::]", "[::1]", "[::ffff:169.254.169.254]", "[::ffff:10.0.0.1]",
    "[::ffff:7f00:2]", "[::127.0.0.2]", "[::a9fe:a9fe]", "[::ffff:0:10.0.0.1]",
    "[64:ff9b::10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]", "[2002:a9fe:a9fe::1]",
    "[2002:7f00:2::]", "[2001:0:a00:1::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]",
    "[100::1]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
    "[ff0e::1]", "[4000::1]",
)  # fmt: skip

LEADING_AWAY = (
    ("file:///etc/passwd", FORBIDDEN), ("ftp://127.0.0.1/x", FORBIDDEN),
    ("gopher://127.0.0.1:70/x", FORBIDDEN), ("data:text/plain,x", FORBIDDEN),
    ("javascript:alert(1)", FORBIDDEN), ("ldap://127.0.0.1/x", FORBIDDEN),
    ("unix:/var/run/docker.sock", FORBIDDEN), ("HTTP+UNIX://x/y", FORBIDDEN),
    ("https://", FORBIDDEN),
    ("http://{host}:1/m.gguf", REFUSED), ("http://127.0.0.1:99999/m.gguf", REFUSED),
    ("http://127.0.0.1:-1/m.gguf", REFUSED), ("http://u:p@{host}/m.gguf", REFUSED),
    ("http://u@{host}/m.gguf", REFUSED), ("http://@{host}/m.gguf", REFUSED),
    ("http://[::1/m.gguf", REFUSED), ("http://[v1.x]/m.gguf", REFUSED),
    ("http://{host}/a b", REFUSED), ("http://{host}/\u00e9", REFUSED),
    ("http://exa\u00e9mple/m.gguf", REFUSED), ("http://a%2eb/m.gguf", REFUSED),
    ("http://a b/m.gguf", REFUSED), ("http://a\\b/m.gguf", REFUSED),
    (f"http://{LONG}/m.gguf", REFUSED), ("http://[fe80::1%25eth0]/m.gguf", REFUSED),
    ("http://nowhere.invalid/m.gguf", UNREACHABLE), ("http://.../m.gguf", UNREACHABLE),
    ("http:///m.gguf", REFUSED), ("//", REFUSED), ("/m.gguf", REFUSED), ("", REFUSED), ("?again", REFUSED), ("//{host}/m.gguf", REFUSED),
)  # fmt: skip
"""Where a redirect leads, and what it comes to; the last six lead back to the redirect."""


def _redirect(target: str, status: int = 302) -> Mapping[str, Answer]:
    return {FILE: reply(status=status, Location=target)}


CASES = (
    *(Case(f"no source: {uri[:60]!r} of {len(uri)}", SPEC, uri, requests=0) for uri in NOT_SOURCES),
    *(
        Case(f"source at {host}", FORBIDDEN, f"http://{host}/m.gguf", requests=0)
        for host in NOT_PUBLIC
    ),
    *(
        Case(
            f"redirect to {host}", FORBIDDEN, answers=_redirect(f"http://{host}/m.gguf"), requests=1
        )
        for host in NOT_PUBLIC[::3]
    ),
    *(
        Case(f"redirect to {target[:60]!r}", reason, answers=_redirect(target), requests=6)
        for target, reason in LEADING_AWAY
    ),
    *(
        Case(
            f"{status} to a private address",
            FORBIDDEN,
            answers=_redirect("http://10.0.0.1/", status),
        )
        for status in (301, 303, 307, 308)
    ),
    *(
        Case(
            f"{status} without a place",
            PullReason.SOURCE_REFUSED,
            answers={FILE: reply(status=status)},
        )
        for status in (300, 304, 305, 306)
    ),
)
