// The long lists at the end, which are drawn when they are opened: all metrics, and the runbook.

import {h} from './dom.js';
import {number, short} from './format.js';
import {none, shortened, table} from './pieces.js';
import {draw as drawRunbook} from './runbook.js';

export function metrics(state) {
    const {readings} = state;
    const flip = (event) => {
        state.metricsShown = event.target.open;
        state.draw();
    };
    return h('details', {on: {toggle: flip}},
        h('summary', {}, `Everything that /metrics has, with rates`),
        state.metricsShown && readings.latest && samples(state));
}

function samples(state) {
    const {readings} = state;
    const wanted = state.metricFilter.toLowerCase();
    const help = (name) => readings.latest.families.get(name.replace(/_total$|_info$/, ''))?.help;
    const rows = [...readings.latest.samples].flatMap(([name, own]) => own.map((sample) => ({
        ...sample, name, line: name.replace(/^riverhead_/, '') + sample.text,
    }))).filter(({line}) => line.toLowerCase().includes(wanted));
    const columns = [
        {title: 'Metric', kind: 'name', of: (it) => h('span', {title: help(it.name)}, short(it.line, 200))},
        {title: 'Value', kind: 'number', of: (it) => number(it.value)},
        {title: 'A second', kind: 'number', of: (it) => (it.name.endsWith('_total') ? number(readings.rate(it.name, it.labels)) : '')},
    ];
    const filter = (event) => {
        state.metricFilter = event.target.value;
        state.draw();
    };
    return [
        h('p', {class: 'filters'}, h('label', {}, 'Find ', h('input', {type: 'search', spellcheck: 'false', on: {input: filter}}))),
        rows.length === 0 ? none('No metric fits.')
            : shortened(state, 'metrics', rows, 60, (some) => table('Metrics', columns, some, (it) => it.name + it.text)),
    ];
}

export function runbook(state) {
    if (!state.runbook) {
        return none('Asking the gateway …');
    }
    return [...state.runbook].map(([name, blocks]) => {
        const flip = (event) => {
            state.sectionsShown[event.target.open ? 'add' : 'delete'](name);
            state.draw();
        };
        return h('details', {key: name, id: `runbook-${name}`, class: 'entry', on: {toggle: flip}},
            h('summary', {}, name),
            state.sectionsShown.has(name) && h('div', {class: 'help'}, drawRunbook(blocks, state.openRunbook)));
    });
}
