"""Exit code 0 where a health page answers 200, 1 otherwise: `healthy.py http://127.0.0.1:7480/healthz`.

The image has no curl. An https page of this same container is asked without looking at its
certificate: it is for other names than 127.0.0.1, and nothing secret is sent.
"""

from __future__ import annotations

import ssl
import sys
import urllib.request


def main(url: str) -> int:
    """Ask; return the exit code."""
    context = None
    if url.startswith("https://"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=3, context=context) as answer:  # noqa: S310
            return 0 if answer.status == 200 else 1
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
