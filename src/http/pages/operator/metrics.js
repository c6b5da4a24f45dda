// The text of /metrics (OpenMetrics), and rates over what was read before.

/** Parses the text. Returns the samples of each name, in order, and what is said of each family. */
export function parse(text) {
    const samples = new Map();
    const families = new Map();
    for (const line of text.split('\n')) {
        const said = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
        if (said) {
            const family = families.get(said[2]) ?? {};
            family[said[1].toLowerCase()] = said[3];
            families.set(said[2], family);
            continue;
        }
        const sample = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line);
        if (sample) {
            const [, name, labels = '', value] = sample;
            const all = samples.get(name) ?? [];
            all.push({labels: labelsOf(labels), text: labels, value: Number(value)});
            samples.set(name, all);
        }
    }
    return {samples, families};
}

function labelsOf(text) {
    const labels = {};
    for (const [, name, value] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
        labels[name] = value.replaceAll(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
    }
    return labels;
}

/** Readings of the metrics, the newest last. */
export class Readings {
    #all = [];

    /** Adds a reading. Readings older than fifteen minutes are thinned out to one in thirty seconds, and then forgotten. */
    add(metrics, at) {
        this.#all.push({at, metrics});
        const keep = ({at: own}, index) => {
            const age = at - own;
            const before = index === 0 ? -Infinity : this.#all[index - 1].at;
            return age < RATE_WINDOW * 2 || (age < KEEP && Math.floor(own / THIN) !== Math.floor(before / THIN));
        };
        this.#all = this.#all.filter(keep);
    }

    /** Forgets everything: the process is another one. */
    clear() {
        this.#all = [];
    }

    get length() {
        return this.#all.length;
    }

    get latest() {
        return this.#all.at(-1)?.metrics;
    }

    /** Returns the samples of a name whose labels are these, among others. */
    samples(name, labels = {}) {
        return select(this.latest, name, labels);
    }

    /** Returns the sum of these samples. */
    value(name, labels) {
        return sum(this.samples(name, labels));
    }

    /** Returns by how much the sum has grown in a second, over the last ten seconds. */
    rate(name, labels) {
        return this.#growth(name, labels, RATE_WINDOW)?.perSecond;
    }

    /** Returns the smallest sum of the last ten seconds, and 0 until there are that many. What is there for a moment does not count. */
    lasting(name) {
        const last = this.#all.at(-1)?.at;
        const recent = this.#all.filter(({at}) => last - at <= RATE_WINDOW);
        const covers = recent.length > 0 && last - recent[0].at >= RATE_WINDOW / 2;
        return covers ? Math.min(...recent.map(({metrics}) => sum(select(metrics, name, {})))) : 0;
    }

    /** Returns by how much the sum has grown since the page looks, for fifteen minutes at most. */
    increase(name, labels) {
        return this.#growth(name, labels, KEEP)?.amount ?? 0;
    }

    #growth(name, labels, window) {
        const last = this.#all.at(-1);
        const first = this.#all.find(({at}) => last.at - at <= window);
        if (!first || first === last) {
            return undefined;
        }
        const before = select(first.metrics, name, labels ?? {});
        const amount = Math.max(0, sum(select(last.metrics, name, labels ?? {})) - sum(before));
        return {amount, perSecond: (amount * 1000) / (last.at - first.at)};
    }
}

function select(metrics, name, labels) {
    const all = metrics?.samples.get(name) ?? [];
    const wanted = Object.entries(labels);
    return all.filter((sample) => wanted.every(([label, value]) => sample.labels[label] === value));
}

function sum(samples) {
    return samples.reduce((total, {value}) => total + value, 0);
}

/** Over how long rates are measured, in milliseconds: they are steady then, and still show what begins. */
const RATE_WINDOW = 10_000;

/** How long readings are kept, in milliseconds: as long as the alerts look back for what must not happen. */
const KEEP = 900_000;

/** The distance of old readings, in milliseconds. */
const THIN = 30_000;
