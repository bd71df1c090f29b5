"""The real registry as a process: over TLS with certificates of sites, or under its development profile."""

import os
import re
import subprocess
from pathlib import Path

from harness import TIMEOUT_S, Probe, bin_dir


class Certificates:
    """A certifying authority of one's own, the registry's certificate and a site's."""

    def __init__(self, folder: Path, site: str):
        self.folder = folder
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test CA"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-keyout", folder / "ca.key", "-out", folder / "ca.pem"),
        )
        self.issue("registry", "DNS:localhost,IP:127.0.0.1")
        self.issue("site", f"DNS:{site}")

    def issue(self, name: str, names: str):
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", self.folder / f"{name}.key", "-out", request),
        )
        self._openssl(
            *("x509", "-req", "-days", "2", "-in", request, "-CA", self.folder / "ca.pem", "-CAkey", self.folder / "ca.key"),
            *("-CAcreateserial", "-extfile", extensions, "-out", self.folder / f"{name}.pem"),
        )

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class RealRegistry:
    def __init__(self, folder: Path, trust: Path, certificates: Certificates | None = None, **environment):
        self.folder, self.log_path = folder, folder / "registry.log"
        variables = {"REGISTRY_LISTEN": "127.0.0.1:0", "REGISTRY_DATA_PATH": str(folder / "registry"), "TRUST_PATH": str(trust)}
        if certificates:
            made = certificates.folder
            variables |= {
                "TLS_CERTIFICATE_PATH": str(made / "registry.pem"),
                "TLS_KEY_PATH": str(made / "registry.key"),
                "TLS_SITE_CA_PATH": str(made / "ca.pem"),
            }
        else:
            variables["REGISTRY_PROFILE"] = "development"
        self.scheme, self.variables = "https" if certificates else "http", variables | environment
        self.process = None

    def begin(self, probe: Probe):
        with open(self.log_path, "wb") as log:
            command = [bin_dir() / "swarm_registry"]
            self.process = subprocess.Popen(command, env={**os.environ, **self.variables}, stdout=log, stderr=subprocess.STDOUT)
        listening = re.compile(r"swarm_registry listens on 127\.0\.0\.1:(\d+)")

        def heard():
            assert self.process.poll() is None, self.log_path.read_text()
            return listening.search(self.log_path.read_text())

        port = probe.wait_for(heard, "the registry listens")[1]
        self.variables["REGISTRY_LISTEN"] = f"127.0.0.1:{port}"
        self.url = f"{self.scheme}://localhost:{port}"
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(TIMEOUT_S)
