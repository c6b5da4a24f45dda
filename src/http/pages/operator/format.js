// Numbers, times and names as people read them.

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P'];

/** Returns a number with three digits: 0.42, 17, 1.2k. */
export function number(value) {
    if (value === null || value === undefined || Number.isNaN(value)) {
        return '–';
    }
    let [rest, power] = [Math.abs(value), 0];
    while (rest >= 999.5 && power < PREFIXES.length - 1) {
        rest /= 1000;
        power += 1;
    }
    const digits = rest === 0 || Number.isInteger(rest) ? 0 : rest < 9.95 ? (rest < 0.995 ? 2 : 1) : 0;
    return `${value < 0 ? '−' : ''}${rest.toFixed(digits)}${PREFIXES[power]}`;
}

/** Returns a whole number with all digits, in groups. */
export function whole(value) {
    return value === null || value === undefined ? '–' : value.toLocaleString('en').replaceAll(',', '\u202f');
}

/** Returns a size in binary units. */
export function bytes(value) {
    if (value === null || value === undefined || Number.isNaN(value)) {
        return '–';
    }
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let [rest, power] = [value, 0];
    while (rest >= 1023.5 && power < units.length - 1) {
        rest /= 1024;
        power += 1;
    }
    return `${rest.toFixed(power === 0 || rest >= 9.95 ? 0 : 1)} ${units[power]}`;
}

/** Returns a duration in its largest unit, or two of them. */
export function duration(seconds) {
    if (seconds === null || seconds === undefined || Number.isNaN(seconds)) {
        return '–';
    }
    const total = Math.max(0, seconds);
    if (total < 1) {
        return `${(total * 1000).toFixed(total > 0 && total < 0.0095 ? 1 : 0)} ms`;
    }
    if (total < 9.95) {
        return `${total.toFixed(1)} s`;
    }
    const units = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']];
    const largest = units.findIndex(([size]) => Math.round(total) >= size);
    const [size, name] = units[largest];
    const count = Math.floor(Math.round(total) / size);
    const below = units[largest + 1];
    const rest = below && count < 10 ? Math.floor((Math.round(total) - count * size) / below[0]) : 0;
    return rest > 0 ? `${count} ${name} ${rest} ${below[1]}` : `${count} ${name}`;
}

/** Returns a moment, given in milliseconds, as date and time of this place. */
export function moment(milliseconds) {
    const time = new Date(milliseconds);
    const two = (part) => String(part).padStart(2, '0');
    const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
    return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/** Returns "1 stream" or "2 streams". */
export function count(amount, noun) {
    return `${whole(amount)} ${noun}${amount === 1 ? '' : 's'}`;
}

/** Returns a text that is short enough for a line. Directions and control characters cannot change what stands around it. */
export function short(text, length = 120) {
    const plain = String(text).replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
    return plain.length > length ? `${plain.slice(0, length)}…` : plain;
}
