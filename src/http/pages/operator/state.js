// The first section: the state in one line, what is wrong, and the numbers of the moment.

import {h} from './dom.js';
import {bytes, count, duration, number, short, whole} from './format.js';
import {line, mark} from './pieces.js';
import {draw as drawRunbook} from './runbook.js';

/** Returns the line that says how it is: the worst fault, or that all is well. */
export function stateLine({overview, faults, failure}) {
    if (!overview && !failure) {
        return h('p', {class: 'verdict'}, 'Asking the gateway …');
    }
    const worst = worstOf({overview, faults, failure});
    const words = {ok: 'Healthy', attention: 'Attention', degraded: 'Degraded', failing: 'Failing'};
    const reason = failure ? failure.why : worst === 'attention' ? `${faults[0].subject}: ${faults[0].reason}` : overview.health.reason;
    const others = faults.filter(({severity}) => severity !== 'note').length;
    const look = worst === 'attention' ? 'degraded' : worst;
    return h('div', {class: `verdict ${look}`, 'data-state': worst},
        h('p', {class: 'word'}, mark(look), words[worst]),
        h('p', {class: 'reason', 'data-part': 'reason'}, sentence(short(reason, 400))),
        h('p', {class: 'count'}, others > 0 ? count(others, 'fault') : ''));
}

/** Returns the state in a word: that of /healthz, or `attention` if that is well and something else is not. */
export function worstOf({overview, faults, failure}) {
    if (failure) {
        return 'failing';
    }
    const isWell = overview.health.state === 'ok';
    return isWell && faults.some(({severity}) => severity !== 'note') ? 'attention' : overview.health.state;
}

function sentence(text) {
    return text.replace(/^healthy: /, '');
}

/** Returns the faults, each with the section of the runbook. The worst is open at first. */
export function faultList(state) {
    const faults = state.faults.slice(0, MOST_FAULTS);
    const left = state.faults.length - faults.length;
    return [
        h('ol', {class: 'faults'}, faults.map((fault, index) => h('li', {key: fault.id},
            oneFault(state, fault, index === 0 && fault.severity !== 'note')))),
        left > 0 && h('p', {class: 'none'}, `${whole(left)} more are in the tables below.`),
    ];
}

function oneFault(state, fault, isFirst) {
    const {severity, subject, reason, affects = [], parts = [], detail, runbook} = fault;
    const blocks = runbook && state.runbook?.get(runbook);
    return h('details', {class: `fault ${severity}${runbook ? '' : ' plain'}`, 'data-part': 'fault', 'data-severity': severity, 'data-subject': subject,
        once: isFirst ? {open: ''} : {}},
    h('summary', {}, mark(severity, true),
        h('span', {class: 'subject'}, short(subject)),
        h('span', {class: 'reason'}, short(reason, 600))),
    h('div', {class: 'beside'},
        h('div', {class: 'about'},
            affects.length > 0 && h('p', {}, h('strong', {}, 'Affects '), `${affects.length === 1 ? 'stream' : 'streams'} ${named(affects)}`),
            parts.length > 0 && h('p', {}, h('strong', {}, 'Partitions '), named(parts)),
            detail && h('pre', {class: 'detail', tabindex: '0'}, detail),
            affects.length + parts.length === 0 && !detail && h('p', {class: 'none'},
                severity === 'note' ? 'Nothing has to be done now.' : 'No stream is known to be affected.')),
        h('div', {class: 'help', 'data-part': 'help'}, blocks
            ? [h('h3', {}, runbook), drawRunbook(blocks, state.openRunbook)]
            : h('p', {class: 'none'}, 'The runbook has no section for this.'))));
}

function named(names) {
    const shown = names.slice(0, MOST_NAMES).join(', ');
    return names.length > MOST_NAMES ? `${shown} and ${names.length - MOST_NAMES} more` : shown;
}

/** The numbers at the top: `{id, title, value, note, of}`. `of` is what the line is drawn from. */
export function numbersOf({overview, readings}) {
    const {limits, health, memory} = overview;
    const sum = (all) => all.reduce((total, value) => total + (value ?? 0), 0);
    const partitions = health.clusters.filter((it) => it.active).flatMap((it) => it.partitions);
    const lag = sum(partitions.map((it) => it.lag));
    const refused = readings.rate('riverhead_refusals_total') ?? (readings.latest ? 0 : undefined);
    const sent = readings.rate('riverhead_events_sent_total');
    const out = readings.rate('riverhead_bytes_sent_total');
    const read = readings.rate('riverhead_kafka_records_total');
    const budget = sum(memory.pools.map((pool) => pool.budget_bytes));
    return [
        {id: 'open', title: 'Streams open', of: limits.streams, value: whole(limits.streams),
            note: `of ${whole(limits.streams_total)}`},
        {id: 'sent', title: 'Events sent', of: sent, value: number(sent), note: 'a second, to all'},
        {id: 'out', title: 'Bytes sent', of: out, value: bytes(out), note: 'a second'},
        {id: 'read', title: 'Records read', of: read, value: number(read), note: 'a second, from Kafka'},
        {id: 'lag', title: 'Lag', of: lag, value: number(lag), note: `of ${count(partitions.length, 'partition')}`},
        {id: 'held', title: 'Waiting', of: health.held, value: whole(health.held), note: 'for Kafka, streams'},
        {id: 'refused', title: 'Refused', of: refused, value: number(refused), note: 'requests a second'},
        {id: 'resident', title: 'Memory', of: memory.resident_bytes ?? undefined, value: bytes(memory.resident_bytes),
            note: `budgets ${bytes(budget)}`},
    ];
}

export function numberTiles(numbers, history) {
    return h('dl', {class: 'tiles'}, numbers.map(({id, title, value, note}) => h('div', {key: id, class: 'tile', 'data-number': id},
        h('dt', {}, title),
        h('dd', {class: 'value'}, value),
        h('dd', {class: 'note'}, note),
        h('dd', {class: 'history'}, line(history.of(id))))));
}

/** Returns what is known of the process. */
export function processLine({overview, readings}) {
    const up = readings.value('riverhead_uptime_seconds');
    return [`version ${overview.version}`, up > 0 && `up ${duration(up)}`, overview.health.draining ? 'draining' : overview.health.ready ? 'ready' : 'starting']
        .filter(Boolean).join(' · ');
}

/** How many faults are listed: more than a person reads at once. */
const MOST_FAULTS = 40;

/** How many names a fault shows. */
const MOST_NAMES = 12;
