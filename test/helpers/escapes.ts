// Ways out of a sandbox, each as a program that tries one and says how it went. All of them need `sh` and `python3` inside.

/** Facts of the host that a program inside must not reach. */
export interface HostFacts {
  /** A file with a secret. */
  readonly secretFile: string;
  readonly secret: string;
  /** A port of the host's loopback that counts its connections. */
  readonly port: number;
  /** An abstract Unix socket of the host, without its leading zero byte. */
  readonly abstractName: string;
  readonly pid: number;
  /** Another address of the host; '' for none. */
  readonly address: string;
}

export interface Escape {
  readonly what: string;
  readonly sh?: (host: HostFacts) => string;
  /** After `PRELUDE`. */
  readonly python?: (host: HostFacts) => string;
  /** All that may be said. */
  readonly says: RegExp;
}

/** `call(name, …)` makes a system call and returns `OK` or the name of the error. */
const PRELUDE = `
import ctypes, errno, os, platform, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARM = platform.machine() == 'aarch64'
NR = dict(clone=(56,220), ptrace=(101,117), process_vm_readv=(310,270), pidfd_getfd=(438,438), pidfd_open=(434,434), mount=(165,40),
  umount2=(166,39), pivot_root=(155,41), chroot=(161,51), setns=(308,268), unshare=(272,97), bpf=(321,280), perf_event_open=(298,241),
  open_by_handle_at=(304,265), init_module=(175,105), finit_module=(313,273), kexec_load=(246,104), reboot=(169,142),
  io_uring_setup=(425,425), keyctl=(250,219), add_key=(248,217), request_key=(249,218), userfaultfd=(323,282), clone3=(435,435), fsopen=(430,430),
  open_tree=(428,428), personality=(135,92), getpid=(39,172), mknodat=(259,33), sethostname=(170,161), syslog=(103,116), swapon=(167,224))
def raw(nr, *args):
  r = libc.syscall(ctypes.c_long(nr), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
  return 'OK' if r >= 0 else errno.errorcode.get(ctypes.get_errno(), '?')
def call(name, *args): return raw(NR[name][ARM], *args)
def connect(family, address, kind=socket.SOCK_STREAM):
  try:
    s = socket.socket(family, kind); s.settimeout(3); s.connect(address)
    return 'connected'
  except OSError as e: return errno.errorcode.get(e.errno, type(e).__name__)
def make(*args):
  try: socket.socket(*args); return 'OK'
  except OSError as e: return errno.errorcode.get(e.errno, '?')
`;

export function programOf({sh, python}: Escape, host: HostFacts): string[] {
  if (sh !== undefined) return ['sh', '-c', sh(host)];
  return ['python3', '-c', `${PRELUDE}${python?.(host)}`];
}

/** A container's own filter or lost capabilities may answer in place of ours. */
const NO = '(EPERM|ENOSYS|EACCES|EINVAL)';
const UNREACHABLE = '(ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|TimeoutError|EACCES|EPERM)';

const calls = (what: string, code: string, says = NO): Escape => ({
  what,
  python: () => code,
  says: new RegExp(`^(${says}\\n)+$`),
});

const opens = (what: string, paths: (host: HostFacts) => readonly string[], mode = 'r'): Escape => ({
  what,
  python: (host) => `
for path in ${JSON.stringify(paths(host))}:
  try:
    open(path, '${mode}').read(1)
    print('opened ' + path)
  except OSError as e: print(errno.errorcode[e.errno])`,
  says: /^((ENOENT|EACCES|EPERM|EROFS|ENOTDIR|ELOOP|ENXIO|EIO|EISDIR)\n)+$/,
});

export const ESCAPES: readonly Escape[] = [
  {
    what: 'it has no capabilities, gains none, and has a filter',
    sh: () => 'grep -E "^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):" /proc/self/status',
    says: /^(Cap\w+:\t0{16}\n){5}NoNewPrivs:\t1\nSeccomp:\t2\n$/,
  },
  {what: 'its user is not root', sh: () => 'id -u', says: /^1000\n$/},
  {
    what: 'a process inherits nothing but its three descriptors',
    python: () => 'print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])',
    says: /^\[0, 1, 2\]\n$/,
  },
  // Files
  opens('files of the host', ({secretFile}) => [
    secretFile,
    `/proc/1/root${secretFile}`,
    `/proc/1/cwd${secretFile}`,
  ]),
  opens('accounts and keys of the host', () => [
    '/etc/shadow',
    '/etc/sudoers',
    '/root/.ssh/id_ed25519',
    '/root/.bash_history',
    '/etc/ssh/ssh_host_ed25519_key',
    '/etc/ssl/private/ssl-cert-snakeoil.key',
  ]),
  {
    what: 'a link to a file of the host',
    sh: ({secretFile}) =>
      `cd /tmp && ln -s ${secretFile} link && cat link 2>&1 | grep -o "No such file.*"; rm link`,
    says: /^No such file or directory\n$/,
  },
  {
    what: 'folders of the host',
    sh: () => 'ls -A /root /srv /mnt /media /boot /run 2>/dev/null | grep -v ":$" | grep .; echo end',
    says: /^end\n$/,
  },
  {
    what: 'tools of the host cannot be changed',
    sh: () =>
      'for f in /usr/bin/x /usr/lib/x /etc/ssl/certs/x /opt/tunl/init.cjs; do (echo x > $f) 2>/dev/null && echo "wrote $f"; done; echo end',
    says: /^end\n$/,
  },
  opens('sockets of engines', () => [
    '/var/run/docker.sock',
    '/run/docker.sock',
    '/run/podman/podman.sock',
    '/run/user/1000/podman/podman.sock',
    '/run/containerd/containerd.sock',
    '/run/dbus/system_bus_socket',
    '/run/systemd/private',
  ]),
  // Processes
  {
    what: 'processes of the host',
    python: ({pid}) => `
pids = [p for p in os.listdir('/proc') if p.isdigit()]
names = b''
for p in pids:
  try: names += open('/proc/%s/cmdline' % p, 'rb').read() if int(p) != os.getpid() else b''
  except OSError: pass
print(len(pids) < 40, b'vitest' in names, b'sandbox-driver' in names)
try: os.kill(${pid}, 0); print('reached' if ${pid} > 1000 else 'ours')
except ProcessLookupError: print('none')`,
    says: /^True False False\n(none|ours)\n$/,
  },
  {
    what: 'secrets in the environment and arguments of any process',
    python: ({secret}) => `
found = []
for p in filter(str.isdigit, os.listdir('/proc')):
  for name in ('environ', 'cmdline'):
    try: text = open('/proc/%s/%s' % (p, name), 'rb').read()
    except OSError: continue
    if ${JSON.stringify(secret)}[:9].encode() + ${JSON.stringify(secret)}[9:].encode() in text and int(p) != os.getpid(): found.append((p, name))
print(found)`,
    says: /^\[\]\n$/,
  },
  calls(
    'ptrace of others',
    'for p in (1, 2): print(call("ptrace", 16, p, 0, 0)); print(call("ptrace", 0x4206, p, 0, 0))',
  ),
  calls('memory of others', 'print(call("process_vm_readv", 1, 0, 0, 0, 0, 0))'),
  calls('descriptors of others', 'print(call("pidfd_getfd", libc.syscall(434, 1, 0), 0, 0))'),
  // Namespaces and mounts
  calls(
    'mounting',
    'print(call("mount", b"x", b"/tmp", b"tmpfs", 0, 0)); print(call("mount", b"/usr", b"/tmp", 0, 4096, 0)); print(call("mount", 0, b"/usr", 0, 4096 | 32, 0))',
  ),
  calls('unmounting', 'print(call("umount2", b"/usr", 2)); print(call("umount2", b"/proc", 2))'),
  calls('another root', 'print(call("chroot", b"/tmp")); print(call("pivot_root", b"/tmp", b"/tmp"))'),
  calls(
    'namespaces of its own',
    'for flag in (0x10000000, 0x20000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0x20000000, 0x80, 0x10020000): print(call("unshare", flag))',
    '(EPERM|ENOSPC|ENOSYS)',
  ),
  calls(
    'a child in a namespace of its own',
    'print(call("clone", 0x10000011, 0, 0, 0, 0)); print(call("clone", 0x50000011, 0, 0, 0, 0))',
    '(EPERM|ENOSPC)',
  ),
  calls(
    'clone3, whose flags no filter can read',
    'print(call("clone3", ctypes.create_string_buffer(struct.pack("<11Q", 0x10000000, *[0]*10)), 88))',
    '(ENOSYS|EPERM|ENOSPC)',
  ),
  calls(
    'calls of the x32 kind',
    'print(raw(0x40000000 + 39) if not ARM else "ENOSYS"); print(raw(0x40000000 + 165, b"x", b"/tmp", b"tmpfs", 0, 0) if not ARM else "ENOSYS")',
    'ENOSYS',
  ),
  {
    what: 'entering namespaces of others',
    python: () => `
for name in ('net', 'mnt', 'user', 'pid'):
  try: print(call('setns', os.open('/proc/1/ns/' + name, os.O_RDONLY), 0))
  except OSError as e: print(errno.errorcode[e.errno])`,
    says: new RegExp(`^(${NO}\\n)+$`),
  },
  {
    what: 'the map of its user ids',
    sh: () =>
      '(echo "0 0 1" > /proc/self/uid_map) 2>/dev/null && echo wrote; cat /proc/self/uid_map | tr -s " "',
    says: /^ 1000 \d+ 1\n$/,
  },
  // The kernel
  calls(
    'programs in the kernel',
    'print(call("bpf", 0, 0, 0)); print(call("perf_event_open", 0, 0, -1, -1, 0))',
    '(EPERM|EACCES|ENOSYS)',
  ),
  calls(
    'modules',
    'print(call("init_module", 0, 0, b"")); print(call("finit_module", 0, b"", 0))',
    '(EPERM|ENOSYS)',
  ),
  calls(
    'another kernel, a restart, swap, the kernel’s log',
    'print(call("kexec_load", 0, 0, 0, 0)); print(call("reboot", 0xfee1dead, 672274793, 0, 0)); print(call("swapon", b"/tmp/x", 0)); print(call("syslog", 3, 0, 0))',
    '(EPERM|ENOSYS|EINVAL)',
  ),
  calls(
    'files by their number',
    'print(call("open_by_handle_at", -100, ctypes.create_string_buffer(64), 0))',
    '(EPERM|ENOSYS)',
  ),
  calls(
    'io_uring, userfaultfd, and the calls for mounts',
    'print(call("io_uring_setup", 8, ctypes.create_string_buffer(120))); print(call("userfaultfd", 0)); print(call("fsopen", b"tmpfs", 0)); print(call("open_tree", -100, b"/usr", 1))',
    '(ENOSYS|EPERM)',
  ),
  calls(
    'keyrings',
    'print(call("keyctl", 0, -3, 1)); print(call("add_key", b"user", b"x", b"y", 1, -4)); print(call("request_key", b"user", b"x", 0, 0))',
    '(ENOSYS|EPERM)',
  ),
  calls(
    'an address space without chance',
    'print(call("personality", 0x40000)); print(call("personality", 0x400000))',
    'EPERM',
  ),
  calls('the name of the machine', 'print(call("sethostname", b"x", 1))', '(EPERM|ENOSYS)'),
  opens(
    'settings of the kernel',
    () => [
      '/proc/sys/kernel/core_pattern',
      '/proc/sys/kernel/modprobe',
      '/proc/sysrq-trigger',
      '/proc/sys/net/ipv4/ip_forward',
      '/sys/kernel/uevent_helper',
      '/proc/sys/fs/binfmt_misc/register',
    ],
    'r+',
  ),
  opens('memory of the machine, and its devices', () => [
    '/dev/mem',
    '/dev/kmem',
    '/dev/kmsg',
    '/proc/kcore',
    '/dev/vda',
    '/dev/sda',
    '/dev/nvme0n1',
    '/dev/kvm',
    '/dev/fuse',
    '/dev/net/tun',
    '/dev/loop0',
    '/dev/tty0',
  ]),
  {
    what: 'devices of its own',
    python: () =>
      'print(call("mknodat", -100, b"/tmp/disk", 0o60600, 0xfe00)); print(call("mknodat", -100, b"/tmp/mem", 0o20600, 0x101))',
    says: /^(EPERM\n){2}$/,
  },
  {
    what: 'control groups',
    sh: () =>
      'ls /sys/fs/cgroup 2>/dev/null | head -3; (mkdir /sys/fs/cgroup/x || echo 9 > /sys/fs/cgroup/cgroup.procs) 2>/dev/null && echo made; echo end',
    says: /^end\n$/,
  },
  // Rights by programs
  {
    what: 'programs that would make it root',
    sh: () =>
      'for p in "su -c id" "sudo -n id" "mount -t tmpfs x /tmp" "umount /usr" "passwd -d user" "newuidmap $$ 0 0 1" "pkexec id" "unshare -Ur id"; do $p </dev/null 2>/dev/null | grep uid=0; done; echo end',
    says: /^end\n$/,
  },
  // Network
  {
    what: 'the loopback of the host',
    python: ({port}) =>
      `print(connect(socket.AF_INET, ('127.0.0.1', ${port}))); print(connect(socket.AF_INET6, ('::1', ${port}))); print(connect(socket.AF_INET6, ('::ffff:127.0.0.1', ${port})))`,
    says: new RegExp(`^(${UNREACHABLE}\\n|EADDRNOTAVAIL\\n){3}$`),
  },
  {
    what: 'addresses of the host, of clouds, and of the world',
    python: ({address, port}) => `
for a, p in (('${address || '192.0.2.1'}', ${port}), ('169.254.169.254', 80), ('10.0.2.2', ${port}), ('192.0.2.1', 443), ('0.0.0.0', ${port})): print(connect(socket.AF_INET, (a, p)))
print(connect(socket.AF_INET6, ('fd00:ec2::254', 80))); print(connect(socket.AF_INET6, ('2001:db8::1', 443)))`,
    says: new RegExp(`^(${UNREACHABLE}\\n|EADDRNOTAVAIL\\n)+$`),
  },
  {
    what: 'names are not resolved',
    python: () => `
try: print(socket.getaddrinfo('example.com', 443))
except OSError as e: print('none')`,
    says: /^none\n$/,
  },
  {
    what: 'abstract Unix sockets of the host',
    python: ({abstractName}) => `print(connect(socket.AF_UNIX, '\\0${abstractName}'))`,
    says: /^ECONNREFUSED\n$/,
  },
  {
    what: 'rare kinds of sockets',
    python: () => `
for args in ((17, 3, 0), (16, 3, 12), (16, 3, 15), (2, 3, 1), (38, 5, 0), (40, 1, 0), (31, 3, 1), (30, 1, 0), (44, 3, 0), (2, 1, 132), (2, 1, 262), (29, 3, 1)): print(make(*args))`,
    says: /^((EPERM|EACCES|EAFNOSUPPORT|EPROTONOSUPPORT|ESOCKTNOSUPPORT)\n)+$/,
  },
  // Terminals
  {
    what: 'typing into a terminal',
    python: () => `
import fcntl
m, s = os.openpty()
for fd in (0, s, m):
  for request in (0x5412, 0x541c, 0x100005412 & 0xffffffff):
    try: fcntl.ioctl(fd, request, b'x'); print('typed')
    except OSError as e: print(errno.errorcode[e.errno])
try: os.open('/dev/tty', os.O_RDWR); print('opened')
except OSError as e: print(errno.errorcode[e.errno])`,
    says: /^((EPERM|EIO|ENOTTY|EACCES)\n){9}(ENXIO|EACCES|ENOENT)\n$/,
  },
];
