// The parts that the sections are made of: marks of states, tables, bars and lines of the last minutes.

import {h} from './dom.js';

const WORDS = {ok: 'ok', note: 'note', degraded: 'degraded', failing: 'failing'};

/** The shape tells states apart for those to whom the colors are one. */
const SHAPES = {
    ok: () => h('circle', {cx: 8, cy: 8, r: 4}),
    note: () => h('circle', {cx: 8, cy: 8, r: 4, class: 'ring'}),
    degraded: () => h('path', {d: 'M8 2 15 14H1Z'}),
    failing: () => [h('rect', {x: 1.5, y: 1.5, width: 13, height: 13, rx: 2.5}), h('path', {class: 'cross', d: 'M5 5l6 6M11 5l-6 6'})],
};

/** Returns the mark of a state: its shape, and its word for those who cannot see it or, with `isShown`, for everybody. */
export function mark(state, isShown = false) {
    const known = WORDS[state] ? state : 'note';
    return h('span', {class: `mark ${known}`},
        h('svg', {viewBox: '0 0 16 16', 'aria-hidden': 'true', width: 12, height: 12}, SHAPES[known]()),
        h('span', {class: isShown ? 'word' : 'unseen'}, WORDS[known]));
}

/**
 * Returns a table. A column is `{title, of, kind}`: `kind` is `number` or `text`, and `of` returns what is in its cell. `key` returns what
 * tells one row from the others.
 */
export function table(caption, columns, rows, key) {
    const kind = (column) => (column.kind === 'number' ? 'number' : column.kind);
    return h('div', {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': `Table: ${caption}`},
        h('table', {},
            h('caption', {class: 'unseen'}, caption),
            h('thead', {}, h('tr', {}, columns.map((column) =>
                h('th', {key: column.title, scope: 'col', class: kind(column), title: column.help}, column.title)))),
            h('tbody', {}, rows.map((row, index) => h('tr', {key: `${key ? key(row) : index}`},
                columns.map((column) => h('td', {key: column.title, class: kind(column)}, column.of(row))))))));
}

/** Returns the first rows, and a button that shows all of them. `state.open` remembers which lists are shown whole. */
export function shortened(state, id, rows, most, draw) {
    const isWhole = state.open.has(id) || rows.length <= most;
    const flip = () => {
        if (!state.open.delete(id)) {
            state.open.add(id);
        }
        state.draw();
    };
    const more = state.open.has(id) ? 'Show fewer' : `Show all ${rows.length}`;
    return [
        draw(isWhole ? rows : rows.slice(0, most)),
        rows.length > most && h('button', {key: `more ${id}`, type: 'button', class: 'more', on: {click: flip}}, more),
    ];
}

/** Returns a bar that shows a share of something. */
export function bar(label, value, total) {
    const share = total > 0 ? Math.min(1, value / total) : 0;
    const level = value > total ? 'failing' : share > 0.8 ? 'degraded' : 'usual';
    return h('svg', {class: `bar ${level}`, viewBox: '0 0 100 6', preserveAspectRatio: 'none', role: 'img',
        'aria-label': `${label}: ${Math.round(share * 100)} percent`},
    h('rect', {class: 'track', width: 100, height: 6, rx: 0}),
    h('rect', {class: 'fill', width: (share * 100).toFixed(1), height: 6}));
}

/** Returns a line of the last values, from zero to the largest. */
export function line(values) {
    const known = values.filter((value) => value !== undefined);
    const largest = Math.max(...known, 0) || 1;
    const points = values.flatMap((value, index) => (value === undefined ? []
        : [`${((index / (LINE_LENGTH - 1)) * 100).toFixed(1)},${(22 - (value / largest) * 20).toFixed(1)}`]));
    return h('svg', {class: 'line', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
        points.length > 1 && [
            h('polygon', {points: `${points[0].split(',')[0]},24 ${points.join(' ')} 100,24`}),
            h('polyline', {points: points.join(' ')}),
        ]);
}

/** Returns a list of names and values. */
export function facts(pairs) {
    return h('dl', {class: 'facts'}, pairs.filter(Boolean).map(([name, value]) =>
        h('div', {key: name}, h('dt', {}, name), h('dd', {}, value))));
}

/** Returns a sentence where there is nothing to list. */
export function none(text) {
    return h('p', {class: 'none'}, text);
}

/** Values of the last minutes, one for each time that the page was drawn anew. */
export class History {
    #values = new Map();

    add(name, value) {
        const values = this.#values.get(name) ?? [];
        values.push(value);
        this.#values.set(name, values.slice(-LINE_LENGTH));
    }

    /** Returns the values so that the newest is at the right. */
    of(name) {
        const values = this.#values.get(name) ?? [];
        return [...Array(LINE_LENGTH - values.length).fill(undefined), ...values];
    }

    clear() {
        this.#values.clear();
    }
}

/** How many values a line has: five minutes, with a value every two seconds. */
const LINE_LENGTH = 150;
