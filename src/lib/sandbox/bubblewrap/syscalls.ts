// System calls that no program inside a sandbox may use, with their numbers.

export type Machine = 'x64' | 'arm64';

/** Columns: x64, arm64. Undefined: the machine has no such call. */
type Numbers = readonly [x64: number | undefined, arm64: number | undefined];

/** Calls that the filter looks into. */
export const CALLS = {
  clone: [56, 220],
  unshare: [272, 97],
  socket: [41, 198],
  socketpair: [53, 199],
  ioctl: [16, 29],
  personality: [135, 92],
} as const satisfies Record<string, Numbers>;

/** ENOSYS: programs take another way, as on an older kernel. */
const ABSENT: Readonly<Record<string, Numbers>> = {
  // Its flags are in memory, which no filter can read; C libraries then use clone.
  clone3: [435, 435],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  userfaultfd: [323, 282],
  memfd_secret: [447, 447],
  keyctl: [250, 219],
  add_key: [248, 217],
  request_key: [249, 218],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
};

/** EPERM. */
const FORBIDDEN: Readonly<Record<string, Numbers>> = {
  // Other processes
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  kcmp: [312, 272],
  pidfd_getfd: [438, 438],
  // Namespaces and mounts
  setns: [308, 268],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_by_handle_at: [304, 265],
  fanotify_init: [300, 262],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  // The kernel and the machine
  bpf: [321, 280],
  perf_event_open: [298, 241],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  create_module: [174, undefined],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  acct: [163, 89],
  syslog: [103, 116],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  vhangup: [153, 58],
  move_pages: [279, 239],
  migrate_pages: [256, 238],
  // Old calls that current programs do not use
  iopl: [172, undefined],
  ioperm: [173, undefined],
  modify_ldt: [154, undefined],
  lookup_dcookie: [212, 18],
  nfsservctl: [180, 42],
  uselib: [134, undefined],
  ustat: [136, undefined],
  sysfs: [139, undefined],
  _sysctl: [156, undefined],
};

/** Later calls are unknown to this filter, and get ENOSYS. */
export const LAST_KNOWN_CALL = 469;

const column = (calls: Readonly<Record<string, Numbers>>, machine: Machine): number[] =>
  Object.values(calls)
    .map((numbers) => numbers[machine === 'x64' ? 0 : 1])
    .filter((number) => number !== undefined);

export const absentCalls = (machine: Machine): number[] => column(ABSENT, machine);
export const forbiddenCalls = (machine: Machine): number[] => column(FORBIDDEN, machine);
export const callNumber = (name: keyof typeof CALLS, machine: Machine): number =>
  CALLS[name][machine === 'x64' ? 0 : 1];
export const absentNames = (): string[] => Object.keys(ABSENT);
export const forbiddenNames = (): string[] => Object.keys(FORBIDDEN);
