"""What the kernel says: CPU time, memory, and the machine's description. Linux only, by /proc."""

import os
import pathlib
import platform
import signal
import socket
import subprocess
import sys

SERVER_CORE = 0
GENERATOR_CORE = 1
ALL_CORES = "0,1"


def _read(path):
    return pathlib.Path(path).read_text()


def _ksoftirqd_pid(core):
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == f"ksoftirqd/{core}":
                return int(path.parent.name)
        except OSError:
            pass  # it has just ended
    return None


KSOFTIRQD = _ksoftirqd_pid(SERVER_CORE)


def cpu_ns(pid):
    """CPU time of all the process's threads (the kernel's io_uring workers are among them) and of its core's ksoftirqd."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass  # a thread that has just ended
    if KSOFTIRQD:
        total += int(_read(f"/proc/{KSOFTIRQD}/schedstat").split()[0])
    return total


def threads(pid):
    """(id, name, CPU nanoseconds) of each thread."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            found.append((int(task.name), (task / "comm").read_text().strip(),
                          int((task / "schedstat").read_text().split()[0])))
        except FileNotFoundError:
            pass  # it has just ended
    return found


def busy_ns():
    """CPU time of everything on the machine, and what its host took away."""
    user, nice, system, _, _, irq, softirq, steal = (int(n) for n in _read("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def rss_bytes(pid):
    """Exact, unlike VmRSS, which the kernel counts in batches."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Rss in smaps_rollup")


def kernel_bytes():
    """Slab and socket memory of the whole machine: the clients' sockets are in it too."""
    fields = dict(line.split(":") for line in _read("/proc/meminfo").splitlines())
    return int(fields["Slab"].split()[0]) * 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def uses_io_uring(pid):
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            if "[io_uring]" in os.readlink(fd):
                return True
        except OSError:
            pass
    return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def commit():
    """The short id of the commit, with '-dirty' if the sources differ from it."""
    name = _output("git", "rev-parse", "--short", "HEAD")
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return name + ("-dirty" if changed not in ("", "unknown") else "")


def shared_object(program, name):
    """The file that a program has of a shared library, whose name ends in its version."""
    lines = (line.split() for line in _output("ldd", program).splitlines())
    return next((os.path.basename(os.path.realpath(f[2])) for f in lines if name in f[0] and len(f) > 2), "built in")


def describe():
    """Ordered pairs for the report."""
    cpu = next((line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines()
                if line.startswith("model name")), platform.machine())
    memory = int(_read("/proc/meminfo").split()[1]) / 1024 / 1024
    os_release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
    return [
        ("CPU", f"{cpu}, {os.cpu_count()} cores{', virtual' if 'hypervisor' in _read('/proc/cpuinfo') else ''}"),
        ("memory", f"{memory:.1f} GiB"),
        ("system", f"{os_release.get('PRETTY_NAME', '?').strip(chr(34))}, Linux {platform.release()}"),
        ("compiler", _output("cc", "--version").splitlines()[0]),
        ("commit", commit()),
    ]


def own_network(argv):
    """Runs the program again in a network namespace of its own, where that is allowed. Returns if it is not, or done. From then on who
    ends it by a signal ends what it has started, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if os.environ.get("BENCH_OWN_NETWORK"):
        return os.environ["BENCH_OWN_NETWORK"] == "yes"
    os.environ["BENCH_OWN_NETWORK"] = "no"
    if subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
        os.environ["BENCH_OWN_NETWORK"] = "yes"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv])
    return False
