// The rows of the fault bench in their short form: connections through tunl survive faults of the network.
import {describe} from 'vitest';
import {runCell} from '../../bench/faults/cell.js';
import {faults} from '../../bench/faults/faults.js';
import {tunl} from '../../bench/faults/peers/tunl.js';
import {Tools} from '../../bench/machine/tools.js';
import {atMost} from '../helpers/metric.js';
import {test} from '../helpers/test.js';

const rows = ['hole-90', 'killed', 'address', 'cut-10', 'down-50', 'refused-50'];

describe.concurrent('faults of the network, in a shorter form', () => {
  test.for(faults.filter(({name}) => rows.includes(name)))('$about', async (fault, {scope, expect}) => {
    const {signal} = scope;
    const tools = new Tools(['ip', 'ss', 'nft']);
    const {download, echo, quiet, wrongBytes, ...figures} = await runCell({
      ...{tools, peer: tunl, fault, short: true, signal},
    });
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    expect({download, echo, quiet}).toEqual({download: 'survived', echo: 'survived', quiet: 'survived'});
    expect(atMost(fault.about, 'wrong bytes', wrongBytes, 0)).toBe(true);
  });
});
