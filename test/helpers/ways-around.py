# Ways around an egress list, tried by a program inside a sealed network. One JSON line for each: its name and what happened.
import ctypes, errno, json, os, socket, ssl, struct, subprocess, sys

MACHINE, PORT, FORBIDDEN, FORBIDDEN6 = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
SITE, SITE6 = sys.argv[5], sys.argv[6]
T = 5


def say(name, outcome):
    print(json.dumps({'name': name, 'outcome': outcome}), flush=True)


def outcome_of(deed):
    try:
        return deed()
    except ssl.SSLError as error:
        return 'ssl ' + str(error.reason)
    except socket.gaierror:
        return 'no such name'
    except socket.timeout:
        return 'timeout'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def way(name, deed):
    say(name, outcome_of(deed))


def read_all(s):
    s.settimeout(T)
    got = s.recv(200)
    return got.decode('latin1').strip() or 'closed'


def dial(host, port, send=b''):
    with socket.create_connection((host, port), T) as s:
        if send:
            s.sendall(send)
        return read_all(s)


def literal(family, address, port, kind=socket.SOCK_STREAM, proto=0, before=None):
    with socket.socket(family, kind, proto) as s:
        s.settimeout(T)
        if before:
            before(s)
        s.connect((address, port))
        if kind != socket.SOCK_STREAM:
            s.send(b'x')
            return 'sent'
        return read_all(s)


def hello(sni):
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    tls = context.wrap_bio(ours, theirs, server_hostname=sni)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return theirs.read()


def tls(host, port, sni, slow=False, answer=1):
    with socket.create_connection((host, port), T) as s:
        data = hello(sni)
        if slow:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(data), 7):
                s.sendall(data[at : at + 7])
        else:
            s.sendall(data)
        # This server speaks first.
        for _ in range(answer - 1):
            read_all(s)
        return read_all(s)


def query(labels, kind=1, ident=7):
    name = b''.join(bytes([len(each)]) + each for each in labels) + b'\0'
    return struct.pack('!HHHHHH', ident, 0x0100, 1, 0, 0, 0) + name + struct.pack('!HH', kind, 1)


def rcode(answer):
    flags, _, count = struct.unpack('!HHH', answer[2:8])
    return 'rcode %d, %d answers' % (flags & 15, count)


def ask(server, labels, kind=1, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(T)
        s.connect((server, 53))
        message = labels if isinstance(labels, bytes) else query(labels, kind)
        s.send(message)
        answer = s.recv(2000)
        if answer[12 : len(message)] != message[12:] and answer[3] & 15 in (0, 3):
            return 'another question'
        return rcode(answer)


def ask_tcp(server, labels, kind=1):
    with socket.create_connection((server, 53), T) as s:
        message = query(labels, kind)
        s.sendall(struct.pack('!H', len(message)) + message)
        s.settimeout(T)
        answer = s.recv(2000)
        return rcode(answer[2:])


def command(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    return 'worked' if done.returncode == 0 else 'failed'


def names(text):
    return [each.encode() for each in text.split('.')]


def same_source_port():
    def bound():
        s = socket.socket()
        s.settimeout(T)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(('198.51.100.5', 40404))
        return s
    with bound() as one, bound() as two:
        one.connect((SITE, 22))
        first = outcome_of(lambda: read_all(one))
        try:
            two.connect((FORBIDDEN, 22))
            second = outcome_of(lambda: read_all(two))
        except OSError as error:
            second = errno.errorcode[error.errno]
        return first + ', ' + second


def fast_open():
    with socket.socket() as s:
        s.sendto(b'early', 0x20000000, (FORBIDDEN, 80))
        return read_all(s)


def set_option(level, name, value):
    return lambda s: s.setsockopt(level, name, value)


def join_host():
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open('/proc/1/ns/net', os.O_RDONLY)
    if libc.setns(file, 0x40000000) != 0:
        return errno.errorcode[ctypes.get_errno()]
    return 'joined'


def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect('\0tunl-seal-test')
        return 'reached'


def vsock():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        s.connect((2, PORT))
        return 'reached'


def second_namespace():
    inner = "import socket; socket.create_connection(('%s', 80), 2)" % FORBIDDEN
    done = subprocess.run(['unshare', '-Urn', 'python3', '-c', inner], capture_output=True, timeout=20)
    return 'reached' if done.returncode == 0 else 'failed'


INET, INET6 = socket.AF_INET, socket.AF_INET6
UDP, RAW = socket.SOCK_DGRAM, socket.SOCK_RAW

# What must work, so that the rest proves something.
way('allowed name', lambda: dial('allowed.example', 80))
way('allowed name in capitals, with a dot', lambda: dial('ALLOWED.Example.', 80))
way('allowed name with TLS', lambda: tls('allowed.example', 443, 'allowed.example'))
way('allowed name with TLS, in small pieces', lambda: tls('allowed.example', 443, 'Allowed.Example', True))
way('allowed name with TLS on another port', lambda: tls('allowed.example', 5432, 'allowed.example'))
way('no name with TLS on another port', lambda: tls('allowed.example', 5432, None))
way('name below a wildcard', lambda: tls('a.b.wild.example', 443, 'a.b.wild.example'))
way('allowed address', lambda: dial(SITE, 22))
way('allowed IPv6 address', lambda: dial(SITE6, 22))
way('allowed address, mapped into IPv6', lambda: literal(INET6, '::ffff:' + SITE, 22))
way('a question in mixed case', lambda: ask('8.8.8.8', [b'aLLoWed', b'EXAMPLE']))
way('a question over TCP', lambda: ask_tcp('8.8.8.8', names('allowed.example')))
way('a question over IPv6', lambda: ask('2001:4860:4860::8888', names('allowed.example'), 28, INET6))
way('a question to the address of a local stub', lambda: ask('127.0.0.53', names('allowed.example')))
way('public among private addresses', lambda: dial('mixed.example', 80))


def own_loopback():
    with socket.create_server(('127.0.0.1', 0)) as server:
        with socket.create_connection(server.getsockname(), T) as s:
            peer, address = server.accept()
            peer.sendall(b'own')
            return read_all(s)


way('own loopback', own_loopback)

# Names
way('forbidden name', lambda: dial('forbidden.example', 80))
way('question for a forbidden name to another server', lambda: ask(FORBIDDEN, names('forbidden.example')))
way('question over TCP to another server', lambda: ask_tcp(FORBIDDEN, names('forbidden.example')))
way('a secret below an allowed name', lambda: ask('8.8.8.8', names('secret.allowed.example')))
way('a text record of an allowed name', lambda: ask('8.8.8.8', names('allowed.example'), 16))
way('the keys of encrypted hellos', lambda: ask('8.8.8.8', names('allowed.example'), 65))
way('any record of an allowed name', lambda: ask('8.8.8.8', names('allowed.example'), 255))
way('a zone transfer', lambda: ask_tcp('8.8.8.8', names('allowed.example'), 252))
way('the name above a wildcard', lambda: dial('wild.example', 443))
way('a name that ends like a wildcard', lambda: dial('evilwild.example', 443))
way('an allowed name as the beginning of another', lambda: dial('allowed.example.forbidden.example', 80))
way('a dot inside a label', lambda: ask('8.8.8.8', [b'allowed.example']))
way('a zero byte inside a label', lambda: ask('8.8.8.8', [b'allowed', b'example\0.forbidden']))
way('a name of 300 bytes', lambda: ask('8.8.8.8', [b'a' * 63] * 5))
way('a pointer in the question', lambda: ask('8.8.8.8', struct.pack('!HHHHHH', 7, 256, 1, 0, 0, 0) + b'\xc0\x0c\0\1\0\1'))
way('a name with a private address', lambda: dial('inside.example', 80))
way('a name with the metadata address', lambda: dial('metadata.example', 80))
way('a name with the loopback address', lambda: dial('loopback.example', PORT))
way('an alias of a name with a private address', lambda: dial('cname.example', 80))
way('a name whose address changes after the check', lambda: dial('rebind-%s.example' % ('user' if os.getuid() else 'root'), 80))

# Ports and TLS
way('another port of an allowed name', lambda: dial('allowed.example', 8080))
way('TLS with another name', lambda: tls('allowed.example', 443, 'forbidden.example'))
way('TLS without a name', lambda: tls('allowed.example', 443, None))
way('TLS with an address as its name', lambda: tls('allowed.example', 443, '203.0.113.66'))
way('TLS with another name on another port', lambda: tls('allowed.example', 5432, 'forbidden.example', answer=2))
way('no TLS, a Host header', lambda: dial('allowed.example', 443, b'GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n'))
way('bytes that are no TLS', lambda: dial('allowed.example', 443, b'\x16\x03\x01\xff\xff' + b'\0' * 100))

# Addresses
way('a forbidden address', lambda: dial(FORBIDDEN, 80))
way('a forbidden address with an allowed Host header', lambda: dial(FORBIDDEN, 80, b'GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n'))
way('DNS over HTTPS at an address', lambda: tls(FORBIDDEN, 443, 'allowed.example'))
way('DNS over TLS', lambda: tls(FORBIDDEN, 853, 'dns.example'))
way('the address of an allowed name', lambda: dial(SITE, 80))
way('another port of an allowed address', lambda: dial(SITE, 23))
way('a forbidden IPv6 address', lambda: dial(FORBIDDEN6, 80))
way('mapped into IPv6', lambda: literal(INET6, '::ffff:' + FORBIDDEN, 80))
way('IPv4-compatible', lambda: literal(INET6, '::' + FORBIDDEN, 80))
way('NAT64', lambda: literal(INET6, '64:ff9b::' + FORBIDDEN, 80))
way('6to4', lambda: literal(INET6, '2002:cb00:7142::1', 80))
way('decimal', lambda: dial('3405803842', 80))
way('octal', lambda: dial('0313.0.0161.0102', 80))
way('hexadecimal', lambda: dial('0xcb.0.0x71.0x42', 80))
way('short', lambda: dial('203.0.28994', 80))
way('unspecified', lambda: literal(INET, '0.0.0.0', PORT))
way('unspecified, IPv6', lambda: literal(INET6, '::', PORT))
way('loopback of the machine', lambda: literal(INET, '127.0.0.1', PORT))
way('loopback of the machine, IPv6', lambda: literal(INET6, '::1', PORT))
way('another loopback address', lambda: literal(INET, '127.1.2.3', PORT))
way('an address of the machine', lambda: literal(INET, MACHINE, PORT))
way('metadata', lambda: dial('169.254.169.254', 80))
way('private', lambda: dial('10.9.9.9', 80))
way('shared address space', lambda: dial('100.64.9.9', 80))
way('unique local', lambda: dial('fd00:9::9', 80))
way('an address of the seal without a name', lambda: dial('198.18.77.77', 80))
way('a listener of the seal', lambda: literal(INET, '127.0.0.1', 914))
way('the resolver of the seal', lambda: literal(INET, '127.0.0.1', 979, UDP))
way('multicast', lambda: literal(INET, '224.0.0.251', 5353, UDP))
way('broadcast', lambda: literal(INET, '255.255.255.255', 67, UDP, 0, set_option(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)))

# Other protocols
way('UDP', lambda: literal(INET, FORBIDDEN, 80, UDP))
way('QUIC', lambda: literal(INET, SITE, 443, UDP))
way('UDP, IPv6', lambda: literal(INET6, FORBIDDEN6, 80, UDP))
way('time', lambda: literal(INET, FORBIDDEN, 123, UDP))
way('UDPLite', lambda: literal(INET, FORBIDDEN, 80, UDP, 136))
way('SCTP', lambda: literal(INET, FORBIDDEN, 80, socket.SOCK_STREAM, 132))
way('DCCP', lambda: literal(INET, FORBIDDEN, 80, 6, 33))
way('MPTCP', lambda: literal(INET, FORBIDDEN, 80, socket.SOCK_STREAM, 262))
way('ping', lambda: literal(INET, FORBIDDEN, 0, UDP, socket.IPPROTO_ICMP))
way('ping, IPv6', lambda: literal(INET6, FORBIDDEN6, 0, UDP, socket.IPPROTO_ICMPV6))
way('raw IP', lambda: literal(INET, FORBIDDEN, 0, RAW, 255))
way('raw Ethernet', lambda: literal(socket.AF_PACKET, 'lo', 0, RAW, 3))
way('an abstract Unix socket of the machine', abstract)
way('the hypervisor', vsock)

# Options
way('a mark', lambda: literal(INET, FORBIDDEN, 80, before=set_option(socket.SOL_SOCKET, 36, 1)))
way('a device', lambda: literal(INET, FORBIDDEN, 80, before=set_option(socket.SOL_SOCKET, 25, b'lo')))
way('transparent', lambda: literal(INET, FORBIDDEN, 80, before=set_option(socket.SOL_IP, 19, 1)))
way('source routing', lambda: literal(INET, SITE, 80, before=set_option(socket.SOL_IP, 4, bytes([131, 7, 4]) + socket.inet_aton(FORBIDDEN) + b'\0')))
way('fast open', fast_open)
way('a source address of the seal', lambda: literal(INET, FORBIDDEN, 80, before=lambda s: s.bind(('100.64.0.5', 0))))
way('one source port for two destinations', same_source_port)

# The namespace itself
way('nft flush', lambda: command('/usr/sbin/nft', 'flush', 'ruleset'))
way('nft delete', lambda: command('/usr/sbin/nft', 'delete', 'table', 'inet', 'tunl_seal'))
way('a route', lambda: command('/usr/sbin/ip', 'route', 'add', FORBIDDEN, 'dev', 'lo'))
way('a device of its own', lambda: command('/usr/sbin/ip', 'link', 'add', 'v0', 'type', 'veth'))
way('the forwarding switch', lambda: command('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'))
way('a second namespace', second_namespace)
way('the namespace of the machine', join_host)
way('nsenter', lambda: command('nsenter', '--net=/proc/1/ns/net', 'true'))
