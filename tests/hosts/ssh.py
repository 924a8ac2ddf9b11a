"""OpenSSH servers on hosts, and one key that opens all of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.hosts.host import DISK, Host

SERVER = "/usr/sbin/sshd"
CONFIGURATION = f"""
ListenAddress 0.0.0.0
HostKey {DISK}/ssh/host_key
PidFile {DISK}/ssh/pid
AuthorizedKeysFile {DISK}/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
MaxStartups 100
SetEnv TMPDIR={DISK}
"""


def missing_ssh() -> str | None:
    """Which program that `ray up` needs is not installed; None if all are."""
    absent = [name for name in (SERVER, "ssh", "ssh-keygen", "rsync") if not shutil.which(name)]
    return f"needs {', '.join(absent)} (Debian: openssh-server, openssh-client, rsync)" if absent else None


def make_key(path: Path) -> Path:
    """A private key at ``path``, its public one beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def serve_ssh(host: Host, key: Path) -> None:
    """Let the holder of ``key`` log in to the host as root; to be called again after the host was switched off."""
    folder = host.disk / "ssh"
    folder.mkdir(exist_ok=True, mode=0o700)
    (folder / "sshd_config").write_text(CONFIGURATION)
    shutil.copy(key.with_name(f"{key.name}.pub"), folder / "authorized_keys")
    if not (folder / "host_key").exists():
        make_key(folder / "host_key")
    host.run("mkdir", "-p", "/run/sshd")
    host.run(SERVER, "-f", f"{DISK}/ssh/sshd_config")
