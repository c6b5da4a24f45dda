// The runbook as elements. It is Markdown of a known form: headings, paragraphs, lists, code, and marks inside lines.

import {h} from './dom.js';

/** Returns the blocks below each heading of the third level, by heading, in order. */
export function sectionsOf(markdown) {
    const sections = new Map();
    let lines;
    for (const line of markdown.split('\n')) {
        const heading = /^(#{1,3}) (.*)$/.exec(line);
        if (heading) {
            lines = heading[1].length === 3 ? [] : undefined;
            if (lines) {
                sections.set(heading[2].trim(), lines);
            }
        } else {
            lines?.push(line);
        }
    }
    return new Map([...sections].map(([name, own]) => [name, blocksOf(own)]));
}

/** Returns the blocks of these lines: `{kind: 'code' | 'item' | 'text', text}`. */
function blocksOf(lines) {
    const blocks = [];
    let block;
    for (const line of lines) {
        if (block?.kind === 'code') {
            if (line.startsWith(FENCE)) {
                block = undefined;
            } else {
                block.text += `${line}\n`;
            }
            continue;
        }
        if (line.startsWith(FENCE)) {
            block = {kind: 'code', text: ''};
            blocks.push(block);
        } else if (line.trim() === '') {
            block = undefined;
        } else if (line.startsWith('- ')) {
            block = {kind: 'item', text: line.slice(2)};
            blocks.push(block);
        } else if (block) {
            block.text += ` ${line.trim()}`;
        } else {
            block = {kind: 'text', text: line};
            blocks.push(block);
        }
    }
    return blocks;
}

/** Returns a section as elements. `open` is called with the name of a section that is followed. */
export function draw(blocks, open) {
    const drawn = [];
    let items;
    for (const {kind, text} of blocks) {
        if (kind === 'item') {
            if (!items) {
                items = [];
                drawn.push(items);
            }
            items.push(h('li', {}, inline(text, open)));
            continue;
        }
        items = undefined;
        drawn.push(kind === 'code' ? h('pre', {}, h('code', {}, text)) : h('p', {}, inline(text, open)));
    }
    return drawn.map((block) => (Array.isArray(block) ? h('ul', {}, block) : block));
}

const FENCE = '\x60\x60\x60';

const MARK = /\x60([^\x60]+)\x60|\*\*(.+?)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)]+)\)/;

/** Returns the text of a line with its marks. Links to other documents are their text: this page asks nobody else. */
function inline(text, open) {
    const parts = [];
    let rest = text;
    for (let mark = MARK.exec(rest); mark; mark = MARK.exec(rest)) {
        const [all, code, strong, emphasis, link, target] = mark;
        parts.push(rest.slice(0, mark.index));
        if (code) {
            parts.push(h('code', {}, code));
        } else if (strong) {
            parts.push(h('strong', {}, inline(strong, open)));
        } else if (emphasis) {
            parts.push(h('em', {}, inline(emphasis, open)));
        } else if (target.startsWith('#') && /^[A-Z]/.test(link)) {
            const follow = (event) => {
                event.preventDefault();
                open(link);
            };
            parts.push(h('a', {href: `#runbook-${link}`, on: {click: follow}}, link));
        } else {
            parts.push(inline(link, open));
        }
        rest = rest.slice(mark.index + all.length);
    }
    return [...parts, rest];
}
