// A container in the form of Docker's API. Docker's differences from podman are here and in `plan.ts`.

import {type ContainerPlan, SCRATCH} from './plan.js';

/** @param seccomp the value of Docker's option: the filter itself. Podman's answer to the same API wants a file. */
export function dockerContainer(plan: ContainerPlan, seccomp: string): object {
  return {
    Image: plan.image,
    Entrypoint: plan.command,
    Cmd: [],
    User: plan.user,
    Labels: plan.labels,
    Hostname: 'sandbox',
    WorkingDir: '/',
    OpenStdin: true,
    // The end of the attached connection is the end of the container's input, and so of its init.
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: false,
    NetworkDisabled: true,
    StopSignal: 'SIGKILL',
    StopTimeout: 0,
    Healthcheck: {Test: ['NONE']},
    HostConfig: {
      ...(plan.runtime !== undefined && {Runtime: plan.runtime}),
      NetworkMode: 'none',
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges', `seccomp=${seccomp}`],
      ReadonlyRootfs: true,
      Privileged: false,
      IpcMode: 'private',
      // The first process reaps what the sandbox's init does not know.
      Init: true,
      RestartPolicy: {Name: 'no'},
      // Everything goes over the attached connection; a copy would fill the host's disk.
      LogConfig: {Type: 'none'},
      ShmSize: plan.sharedMemoryBytes,
      ...(plan.memoryBytes !== undefined && {Memory: plan.memoryBytes, MemorySwap: plan.memoryBytes}),
      ...(plan.cpus !== undefined && {NanoCpus: Math.round(plan.cpus * 1e9)}),
      ...(plan.pids !== undefined && {PidsLimit: plan.pids}),
      Ulimits: [
        ulimit('nofile', plan.openFiles),
        ulimit('nproc', plan.processes),
        // With 1 the kernel does not hand a crashed program to the host's own handler of crashes, which runs as root.
        ulimit('core', 1),
      ],
      Tmpfs: {
        [SCRATCH]: [
          'rw',
          'exec',
          'nosuid',
          'nodev',
          'mode=1777',
          ...(plan.scratchBytes === undefined ? [] : [`size=${plan.scratchBytes}`]),
        ].join(','),
        // An image's volume would be a folder of the host's disk, without a limit.
        ...Object.fromEntries(plan.volumes.map((folder) => [folder, 'ro,size=4k'])),
      },
      Mounts: plan.mounts.map(({source, target, readOnly}) => ({
        Type: 'bind',
        Source: source,
        Target: target,
        ReadOnly: readOnly,
        BindOptions: {Propagation: 'rprivate'},
      })),
    },
  };
}

const ulimit = (name: string, value: number) => ({Name: name, Soft: value, Hard: value});
