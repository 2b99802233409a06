"""What the disk and the kernel's syncs say: how long one takes, and how many a process makes."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

BLOCK_BYTES = 4096
FILE_BYTES = 4 << 20


class Probe:
    """A file that is written over in blocks of 4 KiB, each synced: what a log that is there already does."""

    def __init__(self, folder):
        self.file = tempfile.TemporaryFile(dir=folder)
        self.file.write(bytes(FILE_BYTES))
        self.file.flush()
        os.fsync(self.file.fileno())
        self.at = 0

    def take(self, seconds):
        """Nanoseconds of each write and sync, for so long."""
        block, fd, taken = os.urandom(BLOCK_BYTES), self.file.fileno(), []
        until = time.monotonic_ns() + int(seconds * 1e9)
        began = time.monotonic_ns()
        while began < until or not taken:
            os.pwrite(fd, block, self.at)
            os.fdatasync(fd)
            self.at = (self.at + BLOCK_BYTES) % FILE_BYTES
            ended = time.monotonic_ns()
            taken.append(ended - began)
            began = ended
        return taken

    def close(self):
        self.file.close()


class SyncCounter:
    """Counts fsync and fdatasync of some threads with strace: exact, but it holds them up at every system call."""

    def __init__(self, threads, folder):
        self.out = pathlib.Path(folder) / "syncs"
        attach = [argument for thread in threads for argument in ("-p", str(thread))]
        self.process = subprocess.Popen(
            ["strace", "-c", "-e", "trace=fsync,fdatasync", "-o", str(self.out), *attach],
            stderr=subprocess.PIPE, text=True)
        for _ in threads:
            line = self.process.stderr.readline()
            if "attached" not in line:
                self.process.kill()
                self.process.wait()
                raise OSError(f"strace cannot attach: {line.strip()}")

    @staticmethod
    def there():
        return shutil.which("strace") is not None

    def stop(self):
        """Returns how many there were."""
        self.process.send_signal(2)
        self.process.stderr.read()
        self.process.wait()
        self.process.stderr.close()
        lines = (line.split() for line in self.out.read_text().splitlines())
        return sum(int(fields[3]) for fields in lines if fields and fields[-1] in ("fsync", "fdatasync"))


def describe(folder):
    """The file system of a folder, and the device below it."""
    done = subprocess.run(["df", "--output=fstype,source", str(folder)], capture_output=True, text=True)
    return " on ".join(done.stdout.splitlines()[-1].split()) if done.returncode == 0 else "unknown"
