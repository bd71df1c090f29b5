"""The real registry as a process: over TLS with certificates of sites, or under its development profile."""

import os
import re
import signal
import subprocess
from pathlib import Path

from harness import TIMEOUT_S, Probe, bin_dir


class Certificates:
    """A certifying authority of one's own, the registry's certificate and a site's, and the list of what is revoked; all by OpenSSL."""

    def __init__(self, folder: Path, site: str):
        self.folder = folder
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test CA"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-keyout", folder / "ca.key", "-out", folder / "ca.pem"),
        )
        self.issue("registry", "DNS:localhost,IP:127.0.0.1")
        self.issue("site", f"DNS:{site}")
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")
        own = [f"database={folder}/index.txt", f"crlnumber={folder}/crlnumber", "default_md=sha256", "default_crl_days=2"]
        (folder / "ca.cnf").write_text("\n".join(["[ca]", "default_ca=own", "[own]", *own]) + "\n")
        self._as_authority("-gencrl", "-out", folder / "crl.pem")

    def revoke(self, name: str):
        self._as_authority("-revoke", self.folder / f"{name}.pem")
        self._as_authority("-gencrl", "-out", self.folder / "crl.pem")

    def _as_authority(self, *arguments):
        keys = ("-keyfile", self.folder / "ca.key", "-cert", self.folder / "ca.pem")
        self._openssl("ca", "-config", self.folder / "ca.cnf", *keys, *arguments)

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
                "TLS_SITE_CRL_PATH": str(made / "crl.pem"),
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

    def hang_up(self):
        """Lets it read its files again."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(TIMEOUT_S)
