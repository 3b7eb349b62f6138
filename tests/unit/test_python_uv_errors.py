"""What uv and pip print when they fail becomes one message; the texts below were recorded from uv 0.13.9 and pip."""

from __future__ import annotations

import errno
import os
import re

import pytest
from ansible.module_utils.colab_ready.python import uv_errors

# kind, words that the message must have, the address it names, and what was printed.
CASES: list[tuple[str, list[str], str | None, str]] = [
    (
        "not_there",
        ["there is no /srv/wheels", "complete the mirror"],
        "/srv/wheels",
        """error: Failed to read `--find-links` directory: /srv/wheels
  cause: No such file or directory (os error 2)
""",
    ),
    (
        "not_there",
        ["there is no https://amd.invalid/manylinux/rocm-rel-7.2.9/"],
        "https://amd.invalid/manylinux/rocm-rel-7.2.9/",
        """error: Failed to read `--find-links` URL: https://amd.invalid/manylinux/rocm-rel-7.2.9/
  cause: Failed to fetch: https://amd.invalid/manylinux/rocm-rel-7.2.9/
  cause: HTTP status client error (404 File not found) for url (https://amd.invalid/manylinux/rocm-rel-7.2.9/)
""",
    ),
    (
        "no_wheel",
        ["of rocm there is source alone", "nothing is built from source", "colab_extra_packages"],
        None,
        """error: No solution found when resolving dependencies:
  cause: Because rocm==10.0.0 has no usable wheels and you require rocm==10.0.0, we can conclude that your requirements are \
unsatisfiable.

hint: Wheels are required for `rocm` because building from source is disabled for all packages (i.e., with `--no-build`)
""",
    ),
    (
        "no_wheel",
        ["of rocm there is source alone"],
        None,
        """error: Failed to build `rocm @ file:///srv/rocm-10.0.0.tar.gz`
  cause: Building source distributions for `rocm` is disabled
""",
    ),
    # uv warns of a download that it could do without; why it failed comes after the warning's own causes.
    (
        "wrong_python",
        ["there is no file of torch-directml"],
        None,
        """warning: Failed to fetch the list of Python downloads
  cause: error sending request for url (https://nosuch.invalid/python)
  cause: failed to lookup address information: Name or service not known
error: No solution found when resolving dependencies:
  cause: Because torch-directml==0.2.5.dev240914 has no wheels with a matching Python ABI tag (e.g., `cp313`), torch-directml \
cannot be used.
""",
    ),
    (
        "no_network",
        ["name service", "https://nosuch.invalid/simple/idna/", "pip config list"],
        "https://nosuch.invalid/simple/idna/",
        """Using Python 3.11.2 environment at: e1
error: Request failed after 3 retries in 9.2s
  cause: Failed to fetch: https://nosuch.invalid/simple/idna/
  cause: error sending request for url (https://nosuch.invalid/simple/idna/)
  cause: client error (Connect)
  cause: dns error
  cause: error resolving DNS
  cause: failed to lookup address information: Name or service not known
""",
    ),
    (
        "no_network",
        ["name service"],
        None,
        """WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new \
connection: [Errno -3] Temporary failure in name resolution')': /simple/uv/
ERROR: Could not find a version that satisfies the requirement uv==0.13.9 (from versions: none)
ERROR: No matching distribution found for uv==0.13.9
""",
    ),
    (
        "index_silent",
        ["refuses connections", "http://127.0.0.1:9/simple/idna/"],
        "http://127.0.0.1:9/simple/idna/",
        """error: Request failed after 3 retries in 5.3s
  cause: Failed to fetch: http://127.0.0.1:9/simple/idna/
  cause: error sending request for url (http://127.0.0.1:9/simple/idna/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
""",
    ),
    (
        "index_silent",
        ["does not answer in time"],
        "http://127.0.0.1:18731/0/zipp/",
        """error: Failed to fetch: http://127.0.0.1:18731/0/zipp/
  cause: error sending request for url (http://127.0.0.1:18731/0/zipp/)
  cause: operation timed out
""",
    ),
    (
        "index_silent",
        ["503 Service Unavailable"],
        "http://127.0.0.1:18731/503/zipp/",
        """error: Request failed after 3 retries in 10.6s
  cause: Failed to fetch: http://127.0.0.1:18731/503/zipp/
  cause: HTTP status server error (503 Service Unavailable) for url (http://127.0.0.1:18731/503/zipp/)
""",
    ),
    (
        "proxy",
        ["the proxy does not answer", "HTTPS_PROXY"],
        "https://index.test/simple/idna/",
        """error: Request failed after 3 retries in 6.9s
  cause: Failed to fetch: https://index.test/simple/idna/
  cause: error sending request for url (https://index.test/simple/idna/)
  cause: client error (Connect)
  cause: tunnel error: failed to create underlying connection
  cause: tcp connect error
  cause: Connection refused (os error 111)
""",
    ),
    (
        "proxy",
        ["does not accept the user name and the password"],
        None,
        """error: Request failed after 3 retries in 6.9s
  cause: client error (Connect)
  cause: tunnel error: proxy authorization required
""",
    ),
    (
        "proxy",
        ["the proxy does not answer"],
        None,
        """WARNING: Retrying (Retry(total=0)) after connection broken by 'ProxyError('Cannot connect to proxy.', \
NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: \
[Errno 111] Connection refused'))': /simple/uv/
ERROR: No matching distribution found for uv==0.13.9
""",
    ),
    (
        "index_silent",
        ["refuses connections"],
        "http://127.0.0.1:9/fl",
        """error: Failed to read `--find-links` URL: http://127.0.0.1:9/fl
  cause: Failed to fetch: http://127.0.0.1:9/fl
  cause: error sending request for url (http://127.0.0.1:9/fl)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
""",
    ),
    (
        "tls",
        ["certificate", "not trusted", "update-ca-certificates"],
        "https://127.0.0.1:18732/404/zipp/",
        """error: Failed to fetch: https://127.0.0.1:18732/404/zipp/
  cause: error sending request for url (https://127.0.0.1:18732/404/zipp/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer
""",
    ),
    (
        "tls",
        ["certificate"],
        None,
        """WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL: \
CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:992)'))': /simple/uv/
ERROR: No matching distribution found for uv==0.13.9
""",
    ),
    (
        "credentials",
        ["HTTP 401", "http://127.0.0.1:18731/401/"],
        "http://127.0.0.1:18731/401/",
        """error: No solution found when resolving dependencies
  cause: Because zipp was not found in the package registry and you require zipp, we can conclude that your \
requirements are unsatisfiable.

hint: An index URL (http://127.0.0.1:18731/401/) could not be queried due to a lack of valid authentication credentials \
(401 Unauthorized)
""",
    ),
    (
        "credentials",
        ["HTTP 403", "http://127.0.0.1:18731/403/"],
        "http://127.0.0.1:18731/403/",
        """error: No solution found when resolving dependencies
  cause: Because zipp was not found in the package registry and you require zipp, we can conclude that your \
requirements are unsatisfiable.

hint: An index (http://127.0.0.1:18731/403/) returned a 403 Forbidden error. Check that the index URL is correct and the \
credentials are valid.
""",
    ),
    (
        "hash_mismatch",
        ["idna==3.20", "not the file whose hash is locked"],
        None,
        """Resolved 1 package in 49ms
error: Failed to download `idna==3.20`
  cause: Hash mismatch for `idna==3.20`

         Expected:
           sha256:0000850025b95ded1eae8a46181a1a6c56c92c96f0e2b005d9ff8dc0210cab44

         Computed:
           sha256:ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c
""",
    ),
    (
        "hash_mismatch",
        ["uv==0.13.9"],
        None,
        """ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, \
please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with them.
    uv==0.13.9 from https://files.test/uv-0.13.9-py3-none-any.whl (from -r uv.txt (line 1)):
        Expected sha256 0000
             Got        ab7a
""",
    ),
    (
        "disk_full",
        ["disk is full", "/opt/c/.tmpTacHa4/pygments/unistring.py", "df -h"],
        None,
        """error: Failed to download `pygments==2.21.0`
  cause: Failed to extract archive: pygments-2.21.0-py3-none-any.whl
  cause: I/O operation failed during extraction
  cause: failed to write to file `/opt/c/.tmpTacHa4/pygments/unistring.py`: No space left on device (os error 28)
""",
    ),
    (
        "disk_full",
        ["disk is full"],
        None,
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
    ),
    (
        "killed",
        ["uv was ended by signal 9 (Killed)", "dmesg"],
        None,
        f"Resolved 3 packages\n{uv_errors.KILLED % (9, 'Killed')}",
    ),
    (
        "permission",
        ["permission is denied", "/e1/lib/python3.11/site-packages/zipp-3.19.0.dist-info"],
        None,
        """error: Failed to install: zipp-3.19.0-py3-none-any.whl (zipp==3.19.0)
  cause: Failed to create directory `/e1/lib/python3.11/site-packages/zipp-3.19.0.dist-info`
  cause: failed to create directory `/e1/lib/python3.11/site-packages/zipp-3.19.0.dist-info`: Permission denied (os error 13)
""",
    ),
    (
        "damaged",
        ["`RECORD` file is invalid"],
        None,
        """error: `RECORD` file is invalid
  cause: CSV deserialize error: record 0 (line: 1, byte: 0): invalid length 1, expected struct RecordEntry
""",
    ),
    (
        "no_version",
        ["no configured source has idna==99"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because there is no version of idna==99 and you require idna==99, we can conclude that your requirements are \
unsatisfiable.
""",
    ),
    (
        "no_version",
        ["nosuchpackage"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because nosuchpackage was not found in the package registry and you require nosuchpackage, we can conclude that \
your requirements are unsatisfiable.
""",
    ),
    (
        "no_version",
        ["idna"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because idna was not found in the provided package locations and you require idna, we can conclude that your \
requirements are unsatisfiable.

hint: Packages were unavailable because index lookups were disabled and no additional package locations were provided
""",
    ),
    (
        "wrong_python",
        ["torch==2.13.0+cpu", "CPython 3.12", "cp311", "python_env_python"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because torch==2.13.0+cpu has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require \
torch==2.13.0+cpu, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.12 (`cp312`), but we only found wheels for `torch` (v2.13.0+cpu) with the following Python \
ABI tag: `cp311`
""",
    ),
    (
        "no_network",
        ["does not know the host", "https://github.com/astral-sh/python-build-standalone"],
        "https://github.com/astral-sh/python-build-standalone/releases/download/20261110/cpython-3.12.16.tar.gz",
        """error: Failed to install cpython-3.12.16-linux-x86_64-gnu
  cause: Request failed after 3 retries in 11.5s
  cause: Failed to download `https://github.com/astral-sh/python-build-standalone/releases/download/20261110/cpython-3.12.16.tar.gz`
  cause: client error (Connect)
  cause: dns error
  cause: error resolving DNS
  cause: failed to lookup address information: Name or service not known
""",
    ),
    (
        "not_there",
        ["there is no http://127.0.0.1:18777/nothere/20261110/cpython-3.12.16.tar.gz"],
        "http://127.0.0.1:18777/nothere/20261110/cpython-3.12.16.tar.gz",
        """error: Failed to install cpython-3.12.16-linux-x86_64-gnu
  cause: Failed to download `http://127.0.0.1:18777/nothere/20261110/cpython-3.12.16.tar.gz`
  cause: HTTP status client error (404 File not found) for url (http://127.0.0.1:18777/nothere/20261110/cpython-3.12.16.tar.gz)
""",
    ),
    (
        "not_there",
        ["there is no /srv/mirror/20261110/cpython-3.12.16.tar.gz"],
        "/srv/mirror/20261110/cpython-3.12.16.tar.gz",
        """error: Failed to install cpython-3.12.16-linux-x86_64-gnu
  cause: failed to query metadata of file `/srv/mirror/20261110/cpython-3.12.16.tar.gz`: No such file or directory (os error 2)
""",
    ),
    (
        "hash_mismatch",
        ["cpython-3.11.99-linux-x86_64-gnu"],
        None,
        """error: Failed to install cpython-3.11.99-linux-x86_64-gnu
  cause: Hash mismatch for `cpython-3.11.99-linux-x86_64-gnu`

         Expected:
         0000000000000000000000000000000000000000000000000000000000000000

         Computed:
         b6231cd1e294df459420a5f6223c084362e8144fd19de0cab62b9d82fdbff257
""",
    ),
    (
        "conflict",
        ["jupyter-http-over-ws==0.0.7 depends on tornado>=4.5", "colab_extra_packages"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because jupyter-http-over-ws==0.0.7 depends on tornado>=4.5 and you require jupyter-http-over-ws==0.0.7, we can \
conclude that you require tornado>=4.5.
         And because you require tornado==3.0, we can conclude that your requirements are unsatisfiable.
""",
    ),
    (
        "conflict",
        ["you require idna<3 and idna>3.1"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because you require idna<3 and idna>3.1, we can conclude that your requirements are unsatisfiable.
""",
    ),
    (
        "line",
        ["the line is slow or broke off while bigpkg==1.0 came", "what came whole is kept"],
        None,
        """error: Failed to download `bigpkg==1.0`
  cause: Failed to extract archive: bigpkg-1.0-py3-none-any.whl
  cause: I/O operation failed during extraction
  cause: Failed to download distribution due to network timeout. Try increasing UV_HTTP_TIMEOUT (current value: 2s).
""",
    ),
    (
        "line",
        ["the line is slow or broke off while bigpkg==1.0 came", "what came whole is kept"],
        None,
        """error: Failed to download `bigpkg==1.0`
  cause: Failed to write to the distribution cache
  cause: error decoding response body
  cause: request or response body error
  cause: error reading a body from connection
  cause: end of file before message length reached
""",
    ),
    (
        "line",
        ["the line is slow or broke off while bigpkg==1.0 came", "what came whole is kept"],
        None,
        """error: Failed to download `bigpkg==1.0`
  cause: Failed to write to the distribution cache
  cause: error decoding response body
  cause: request or response body error
  cause: error reading a body from connection
  cause: Connection reset by peer (os error 104)
""",
    ),
    (
        "line",
        ["the line is slow or broke off while bigpkg==1.0 came", "what came whole is kept"],
        None,
        """error: Failed to download `bigpkg==1.0`
  cause: Failed to write to the distribution cache
  cause: error decoding response body
  cause: request or response body error
  cause: error reading a body from connection
  cause: unexpected EOF during chunk size line
""",
    ),
    (
        "line",
        ["the line is slow or broke off while bigpkg==1.0 came", "what came whole is kept"],
        None,
        """error: Failed to download `bigpkg==1.0`
  cause: Failed to write to the distribution cache
  cause: error decoding response body
  cause: request or response body error
  cause: error reading a body from connection
  cause: peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof
""",
    ),
    (
        "line",
        ["broke off on the way to http://127.0.0.1:18191/"],
        "http://127.0.0.1:18191/simple/bigpkg/",
        """error: Request failed after 1 retry in 1.4s
  cause: Failed to fetch: http://127.0.0.1:18191/simple/bigpkg/
  cause: error sending request for url (http://127.0.0.1:18191/simple/bigpkg/)
  cause: client error (SendRequest)
  cause: connection closed before message completed
""",
    ),
    (
        "line",
        ["broke off while bigpkg-1.0-py3-none-any.whl came"],
        "http://127.0.0.1:18191/files/bigpkg-1.0-py3-none-any.whl",
        """error: incomplete-download

× Download failed after 6 attempts because not enough bytes were received (1000 kB/3.0 MB)
╰─> URL: http://127.0.0.1:18191/files/bigpkg-1.0-py3-none-any.whl

note: This is an issue with network connectivity, not pip.
""",
    ),
    (
        "line",
        ["broke off"],
        None,
        """pip._vendor.urllib3.exceptions.ProtocolError: ("Connection broken: InvalidChunkLength(got length b'', 0 bytes read)", \
InvalidChunkLength(got length b'', 0 bytes read))
""",
    ),
    (
        "line",
        ["what came of bigpkg is not a whole file", "login page"],
        None,
        """error: Failed to download `bigpkg==1.0`
  cause: Failed to extract archive: bigpkg-1.0-py3-none-any.whl
  cause: Bad CRC (got dab71a13, expected 2741b8e4) for file: bigpkg/d.bin
""",
    ),
    (
        "line",
        ["what came of bigpkg is not a whole file", "login page"],
        None,
        """error: Failed to download `bigpkg==1.0`
  cause: Failed to extract archive: bigpkg-1.0-py3-none-any.whl
  cause: Invalid zip file structure
  cause: Encountered an unexpected header (actual: 0x6d74683c, expected: 0x4034b50).
""",
    ),
    (
        "line",
        ["what came of bigpkg is not a whole file", "login page"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because bigpkg==1.0 has an invalid package format and only bigpkg==1.0 is available, we can conclude that all versions of \
bigpkg cannot be used.

hint: The structure of `bigpkg` (v1.0) was invalid:
  Failed to read from zip file
""",
    ),
    (
        "line",
        ["what came of bigpkg is not a whole file", "login page"],
        None,
        """ERROR: Wheel 'bigpkg' located at /tmp/pip-unpack-mo87wmbf/bigpkg-1.0-py3-none-any.whl is invalid.
""",
    ),
    (
        "index_silent",
        ["too many requests", "429 Too Many Requests", "Wait some minutes"],
        "http://127.0.0.1:18191/simple/bigpkg/",
        """error: Request failed after 1 retry in 1.4s
  cause: Failed to fetch: http://127.0.0.1:18191/simple/bigpkg/
  cause: HTTP status client error (429 Too Many Requests) for url (http://127.0.0.1:18191/simple/bigpkg/)
""",
    ),
    (
        "index_silent",
        ["429 Client Error: Too Many Requests)"],
        "http://127.0.0.1:18191/files/bigpkg-1.0-py3-none-any.whl",
        """ERROR: HTTP error 429 while getting http://127.0.0.1:18191/files/bigpkg-1.0-py3-none-any.whl (from http://127.0.0.1:18191/simple/bigpkg/)
ERROR: 429 Client Error: Too Many Requests for url: http://127.0.0.1:18191/files/bigpkg-1.0-py3-none-any.whl
""",
    ),
    (
        "index_silent",
        ["speaks another protocol", "http://"],
        "https://localhost:18131/simple/bigpkg/",
        """error: Request failed after 1 retry in 1.4s
  cause: Failed to fetch: https://localhost:18131/simple/bigpkg/
  cause: error sending request for url (https://localhost:18131/simple/bigpkg/)
  cause: client error (Connect)
  cause: received corrupt message of type InvalidContentType
""",
    ),
    (
        "index_silent",
        ["speaks another protocol", "http://"],
        "https://localhost:18131/simple/bigpkg/",
        """error: Request failed after 1 retry in 1.4s
  cause: Failed to fetch: https://localhost:18131/simple/bigpkg/
  cause: error sending request for url (https://localhost:18131/simple/bigpkg/)
  cause: client error (Connect)
  cause: invalid HTTP version parsed
""",
    ),
    (
        "clock",
        ["clock", "not valid yet", "hwclock -s", "timedatectl"],
        "https://localhost:18131/simple/bigpkg/",
        """error: Request failed after 1 retry in 1.4s
  cause: Failed to fetch: https://localhost:18131/simple/bigpkg/
  cause: error sending request for url (https://localhost:18131/simple/bigpkg/)
  cause: client error (Connect)
  cause: invalid peer certificate: certificate not valid yet: verification time 1795963912 (UNIX), but certificate is not valid before 1811808000 (15844088 seconds in future)
""",
    ),
    (
        "clock",
        ["clock", "has expired", "hwclock -s", "If the clock is right"],
        "https://localhost:18131/simple/bigpkg/",
        """error: Request failed after 1 retry in 1.4s
  cause: Failed to fetch: https://localhost:18131/simple/bigpkg/
  cause: error sending request for url (https://localhost:18131/simple/bigpkg/)
  cause: client error (Connect)
  cause: invalid peer certificate: certificate expired: verification time 1795963914 (UNIX), but certificate is not valid after 1735689600 (60274314 seconds ago)
""",
    ),
    (
        "clock",
        ["clock", "not valid yet", "hwclock -s", "timedatectl"],
        "https://localhost:18131/simple/bigpkg/",
        """Could not fetch URL https://localhost:18131/simple/bigpkg/: There was a problem confirming the ssl certificate: HTTPSConnectionPool(host='localhost', port=18131): Max retries \
exceeded with url: /simple/bigpkg/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid (_ssl.c:992)'))) - skipping
ERROR: No matching distribution found for bigpkg
""",
    ),
    (
        "clock",
        ["has expired"],
        "https://localhost:18131/simple/bigpkg/",
        """Could not fetch URL https://localhost:18131/simple/bigpkg/: There was a problem confirming the ssl certificate: HTTPSConnectionPool(host='localhost', port=18131): Max retries \
exceeded with url: /simple/bigpkg/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:992)'))) - skipping
ERROR: No matching distribution found for bigpkg
""",
    ),
    (
        "tls",
        ["another server's", "login"],
        "https://localhost:18131/simple/bigpkg/",
        """Could not fetch URL https://localhost:18131/simple/bigpkg/: There was a problem confirming the ssl certificate: HTTPSConnectionPool(host='localhost', port=18131): Max retries \
exceeded with url: /simple/bigpkg/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for 'localhost'. (_ssl.c:992)'))) - skipping
ERROR: No matching distribution found for bigpkg
""",
    ),
    (
        "line",
        ["broke off"],
        "https://localhost:18131/simple/bigpkg/",
        """Could not fetch URL https://localhost:18131/simple/bigpkg/: There was a problem confirming the ssl certificate: HTTPSConnectionPool(host='localhost', port=18131): Max retries \
exceeded with url: /simple/bigpkg/ (Caused by SSLError(SSLEOFError(8, 'EOF occurred in violation of protocol (_ssl.c:992)'))) - skipping
ERROR: No matching distribution found for bigpkg
""",
    ),
    (
        "tls",
        ["another server's"],
        "https://localhost:18131/simple/bigpkg/",
        """error: Request failed after 1 retry in 1.4s
  cause: Failed to fetch: https://localhost:18131/simple/bigpkg/
  cause: error sending request for url (https://localhost:18131/simple/bigpkg/)
  cause: client error (Connect)
  cause: invalid peer certificate: certificate not valid for name "localhost"; certificate is only valid for DnsName("other.test")
""",
    ),
    (
        "no_version",
        ["no configured source has bigpkg", "login page"],
        None,
        """error: No solution found when resolving dependencies
  cause: Because there are no versions of bigpkg and you require bigpkg, we can conclude that your requirements are unsatisfiable.
""",
    ),
]


@pytest.mark.parametrize(
    ("kind", "words", "address", "printed"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)]
)
def test_a_recorded_failure_is_explained(kind: str, words: list[str], address: str | None, printed: str) -> None:
    problem = uv_errors.explain(printed)
    message = problem.message("The environment /e could not be built")
    assert problem.kind == kind, message
    assert all(word in message for word in words), message
    assert problem.address == address
    assert message.startswith("The environment /e could not be built: ")
    assert " Expected " in message
    assert message.endswith(".")
    assert ".." not in message.replace("...", "")
    assert re.search(r"\{\w*\}", message) is None


@pytest.mark.parametrize(
    ("kind", "unreachable"),
    [
        ("no_network", True),
        ("index_silent", True),
        ("proxy", True),
        ("tls", True),
        ("no_version", False),
        ("conflict", False),
    ],
)
def test_only_a_source_that_gave_no_answer_counts_as_unreachable(kind: str, unreachable: bool) -> None:
    printed = next(text for found, _words, _address, text in CASES if found == kind)
    assert uv_errors.explain(printed).unreachable is unreachable


def test_a_warning_of_uv_is_not_taken_for_the_cause() -> None:
    printed = (
        "warning: Failed to uninstall package at `/e/idna-3.20.dist-info` due to missing `RECORD` file.\n"
        "error: No solution found when resolving dependencies\n"
        "  cause: Because there is no version of idna==99 and you require idna==99, we can conclude that it is so.\n"
    )
    assert uv_errors.explain(printed).kind == "no_version"


def test_what_is_unknown_is_quoted_whole_and_not_guessed() -> None:
    problem = uv_errors.explain("error: the moon is in the wrong phase\n  cause: it always is\n")
    assert problem.kind == "unknown"
    assert "the moon is in the wrong phase" in problem.what
    assert "it always is" in problem.what
    assert "(it printed nothing)" in uv_errors.explain("\n").what


def test_no_message_holds_credentials() -> None:
    for printed in (CASES[0][3], "error: something with https://index.test/ in it"):
        told = uv_errors.explain(printed.replace("https://", "https://kid:hunter22@"))
        assert "hunter22" not in told.message("x")
        assert "hunter22" not in str(told.address)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, "disk_full", "the disk is full (/opt/x)"),
        (errno.EDQUOT, "disk_full", "the disk is full"),
        (errno.EACCES, "permission", "permission is denied (/opt/x)"),
        (errno.EROFS, "permission", "read-only"),
        (errno.EIO, "os_error", "Input/output error (/opt/x)"),
    ],
)
def test_our_own_failures_are_explained_too(number: int, kind: str, words: str) -> None:
    problem = uv_errors.explain_os_error(OSError(number, os.strerror(number), "/opt/x"))
    assert problem.kind == kind
    assert words in problem.message("x")


LACKS_AN_EXTRA = """Resolved 2 packages in 1ms
warning: The package `fsspec==2026.1` does not have an extra named `nonsense`
warning: The package `torch==2.13.0+rocm10.0.0` does not have an extra named `device-gfx906`
"""


@pytest.mark.parametrize(
    ("kind", "text", "word", "do"),
    [
        ("not_found", "no source has uv==1 for x86_64", "not_there", "complete the mirror"),
        ("refused", "https://m/simple/uv/ wants others (403)", "credentials", "Correct the index address"),
        (
            "certificate",
            "the certificate of https://m/ is not accepted (self-signed)",
            "tls",
            "Install that certificate",
        ),
        (
            "certificate",
            "the certificate of https://m/ is not accepted (certificate is not yet valid)",
            "clock",
            "clock",
        ),
        (
            "certificate",
            "the certificate of https://m/ is not accepted (Hostname mismatch)",
            "tls",
            "wants a login first",
        ),
        ("no_roots", "https://m/ wants a password", "tls", "ca-certificates"),
        ("no_index", "pip's configuration names no index", "no_index", "python3-venv"),
        ("slow", "https://m/ stopped sending", "index_silent", "Check the network"),
        ("cut", "https://m/ broke off", "line", "what came whole is kept"),
        ("server", "https://m/ answers 503", "index_silent", "Check the network"),
        ("hash", "https://m/uv.whl is another file than the locked one", "hash_mismatch", "tampers with the download"),
        ("answer", "https://m/uv.whl is another file than the locked one", "line", "login page"),
        ("disk", "/x/uv: No space left on device", "disk_full", "Make room"),
        ("disk", "/x/uv: Is a directory", "os_error", "who may write there (ls -ld)"),
        ("unreachable", "https://m/ cannot be reached (Name or service not known)", "no_network", "Check the network"),
        (
            "unreachable",
            "https://m/ cannot be reached (Tunnel connection failed: 502 Bad)",
            "proxy",
            "Correct the proxy",
        ),
        ("unreachable", "https://m/ cannot be reached (something else)", "index_silent", "Check the network"),
    ],
)
def test_what_the_fetcher_says_is_told_with_what_to_do(kind: str, text: str, word: str, do: str) -> None:
    problem = uv_errors.explain_fetch(kind, text)
    assert (problem.kind, problem.what) == (word, text) and do in problem.do


def test_an_extra_that_a_wanted_package_lacks_is_a_failure_although_uv_only_warns() -> None:
    found = uv_errors.missing_extra(LACKS_AN_EXTRA, ["torchvision", "torch"])
    assert found is not None
    assert (found.kind, found.what) == ("no_extra", "torch==2.13.0+rocm10.0.0 has no extra device-gfx906")
    assert uv_errors.missing_extra(LACKS_AN_EXTRA, ["torchvision", "tor"]) is None
    both = uv_errors.missing_extra(LACKS_AN_EXTRA, {"torch", "fsspec"})
    assert both is not None
    assert both.what == "fsspec==2026.1 has no extra nonsense, torch==2.13.0+rocm10.0.0 has no extra device-gfx906"
    assert uv_errors.missing_extra("", ["torch"]) is None
