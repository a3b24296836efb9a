// The words of the commands for clusters.

import type {ClusterEvent, ClusterExitEvent} from '../../cluster/events.js';
import {count, time} from '../format.js';
import type {Line} from '../wording.js';

export function clusterLines(event: ClusterEvent): Line[] {
  switch (event.type) {
    case 'cluster-waiting':
      return [{tone: 'plain', text: `waiting for ${event.size - event.present} of ${event.size} members`}];
    case 'cluster-member':
      return [{tone: 'faint', text: `rank ${event.rank}: ${event.address}`}];
    case 'cluster-start':
      return [
        event.epoch === 1
          ? {tone: 'good', text: `cluster ${event.cluster}: ${count(event.size, 'member')}`}
          : {tone: 'warning', text: `cluster ${event.cluster}: all members start again (${event.epoch})`},
      ];
    case 'cluster-exit':
      return event.exitCode === 0 || event.told ? [] : [{tone: 'bad', text: ended(event)}];
    case 'cluster-restart':
      return [{tone: 'warning', text: `next start in ${time(event.delayMs)}`}];
    case 'cluster-exposed':
      return [{tone: 'good', text: `rank ${event.rank}, port ${event.port}: ${event.address}`}];
    case 'cluster-closed':
      return [];
  }
}

function ended({rank, code, signal, exitCode}: ClusterExitEvent): string {
  const how = signal === undefined ? `exited ${code ?? exitCode}` : `was ended by ${signal}`;
  return `cluster member ${rank} ${how}`;
}
