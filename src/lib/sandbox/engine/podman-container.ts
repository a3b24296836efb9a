// A container in the form of podman's own API.

import {type ContainerPlan, ID_RANGE, SCRATCH} from './plan.js';

const PERIOD_US = 100_000;
const KILL = 9;

export function podmanContainer(plan: ContainerPlan): object {
  const {memoryBytes, cpus, pids} = plan;
  return {
    name: plan.name,
    image: plan.image,
    entrypoint: plan.command,
    command: [],
    ...(plan.runtime !== undefined && {oci_runtime: plan.runtime}),
    user: plan.user,
    ...(plan.firstId !== undefined && {
      userns: {nsmode: 'private'},
      idmappings: {
        HostUIDMapping: false,
        HostGIDMapping: false,
        UIDMap: [idRange(plan.firstId)],
        GIDMap: [idRange(plan.firstId)],
      },
    }),
    ...(plan.keepsId && {userns: {nsmode: 'keep-id'}}),
    labels: plan.labels,
    hostname: 'sandbox',
    work_dir: '/',
    stdin: true,
    // The first process reaps what the init does not know.
    init: true,
    // Otherwise an image with `init` or `systemd` as its command would change how the container is set up.
    systemd: 'false',
    stop_signal: KILL,
    stop_timeout: 0,
    netns: {nsmode: 'none'},
    cap_drop: ['ALL'],
    no_new_privileges: true,
    seccomp_profile_path: plan.seccompFile,
    read_only_filesystem: true,
    image_volume_mode: 'ignore',
    image_pull_policy: 'never',
    // Everything goes over the attached connection; a copy would fill the host's disk.
    log_configuration: {driver: 'none'},
    httpproxy: false,
    shm_size: plan.sharedMemoryBytes,
    resource_limits: {
      ...(memoryBytes !== undefined && {memory: {limit: memoryBytes, swap: memoryBytes}}),
      ...(cpus !== undefined && {
        cpu: {period: PERIOD_US, quota: Math.max(1_000, Math.round(cpus * PERIOD_US))},
      }),
      ...(pids !== undefined && {pids: {limit: pids}}),
    },
    r_limits: [
      rlimit('NOFILE', plan.openFiles),
      rlimit('NPROC', plan.processes),
      // With 1 the kernel does not hand a crashed program to the host's own handler of crashes, which runs as root.
      rlimit('CORE', 1),
    ],
    mounts: [
      {
        destination: SCRATCH,
        type: 'tmpfs',
        source: 'tmpfs',
        options: [
          'nosuid',
          'nodev',
          'mode=1777',
          'notmpcopyup',
          // It belongs to the user inside, because runc gives it the mode of the image’s folder.
          'U',
          ...(plan.scratchBytes === undefined ? [] : [`size=${plan.scratchBytes}`]),
        ],
      },
      ...plan.mounts.map(({source, target, readOnly}) => ({
        destination: target,
        type: 'bind',
        source,
        options: [readOnly ? 'ro' : 'rw', 'rbind', 'rprivate', 'nosuid', 'nodev'],
      })),
    ],
  };
}

/** One range alone: podman 4 cannot mount an image with several. */
const idRange = (host: number) => ({container_id: 0, host_id: host, size: ID_RANGE});

const rlimit = (type: string, value: number) => ({type, soft: value, hard: value});
