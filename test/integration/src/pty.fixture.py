# Runs a command on a terminal of its own, as an ssh session does, and passes what it prints on.
#   python3 pty.fixture.py COMMAND...     standard input: a line "ctrl-c" presses that, "close" closes the terminal
# Ends with the command's status, 128 + n after signal n.
import os, pty, select, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
watched = [terminal, 0]
while terminal in watched:
    for ready in select.select(watched, [], [])[0]:
        try:
            read = os.read(ready, 65536)
        except OSError:
            read = b""
        if ready == terminal and read:
            os.write(1, read)
        elif b"ctrl-c" in read:
            os.write(terminal, b"\x03")
        elif b"close" in read:
            os.close(terminal)
            watched.remove(terminal)
            break
        elif not read:
            watched.remove(ready)
_, status = os.waitpid(pid, 0)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
