// What may need the token: who has access, and the configuration.

import {h} from './dom.js';
import {count, duration, moment, short, whole} from './format.js';
import {facts, none, shortened, table} from './pieces.js';
import {counts} from './sections.js';

/** Returns the form for the token, or what is drawn once there is an answer. */
function withToken(state, what, answer, draw) {
    const {overview, token, tokenTrouble} = state;
    if (answer !== undefined) {
        return draw(answer);
    }
    if (!overview.token_required || token) {
        return none('Asking the gateway …');
    }
    const submit = (event) => {
        event.preventDefault();
        const input = event.target.elements.token;
        state.setToken(input.value.trim());
        input.value = '';
    };
    return h('form', {class: 'token', 'data-part': 'token', on: {submit}},
        h('label', {}, `The token (admin.token) is needed to see ${what}. It stays in the memory of this page.`,
            h('input', {name: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true})),
        h('button', {type: 'submit'}, 'Show'),
        tokenTrouble && h('p', {class: 'trouble', role: 'alert'}, tokenTrouble));
}

export function access(state) {
    const {overview, readings} = state;
    if (!overview.authentication) {
        return none('There is no [auth]: no credential is looked at, and everybody may read every stream.');
    }
    return withToken(state, 'who has access', state.principals, (report) => [
        facts([
            ['API keys', whole(report.keys.length + report.keys_left_out)],
            ['Revocations', whole(report.revocations)],
            ['Keys of tickets', report.ticket_keys > 0 ? whole(report.ticket_keys) : 'random, of this process'],
        ]),
        h('h3', {}, 'Principals with open streams'), readers(state, report),
        h('div', {class: 'two'},
            h('div', {}, h('h3', {}, 'API keys'), keys(state, report)),
            h('div', {}, h('h3', {}, 'Issuers of tokens'), issuers(state, report),
                report.certificates.length > 0 && [h('h3', {}, 'Certificates of clients'), certificates(state, report)],
                h('h3', {}, 'Checks of credentials'),
                counts(readings, 'riverhead_auth_credentials_total', 'result', 'No credential was checked.', 'Checks of credentials by result'))),
    ]);
}

function readers(state, {principals, principals_left_out: left}) {
    const columns = [
        {title: 'Principal', kind: 'name', of: (it) => short(it.principal, 100)},
        {title: 'Streams', kind: 'number', of: (it) => whole(it.streams)},
        {title: 'Scopes', of: (it) => short(it.scopes.join(', '), 100)},
        {title: 'Expires', kind: 'number', of: (it) => expiry(state, it.expires)},
    ];
    return principals.length === 0 ? none('Nobody reads with a credential.') : [
        shortened(state, 'principals', principals, 10, (some) => table('Principals with open streams', columns, some, (it) => it.principal)),
        left > 0 && none(`${count(left, 'principal')} more`),
    ];
}

function keys(state, {keys: all, keys_left_out: left}) {
    const columns = [
        {title: 'Key', kind: 'name', of: (it) => short(it.name, 60)},
        {title: 'Scopes', of: (it) => short(it.scopes.join(', '), 80)},
        {title: 'Streams', kind: 'number', help: 'How many streams its holder may have', of: (it) => (it.max_streams ? whole(it.max_streams) : '–')},
        {title: 'Expires', kind: 'number', of: (it) => (it.revoked ? 'revoked' : expiry(state, it.expires))},
    ];
    return all.length === 0 ? none('There are no API keys.') : [
        shortened(state, 'keys', all, 10, (some) => table('API keys', columns, some, (it) => it.name)),
        left > 0 && none(`${count(left, 'key')} more`),
    ];
}

function issuers(state, {issuers: all}) {
    const columns = [
        {title: 'Issuer', kind: 'name', of: (it) => h('span', {title: it.issuer}, it.name)},
        {title: 'Keys from', of: (it) => it.source},
        {title: 'Read', kind: 'number', of: (it) => (it.keys_age_seconds === null ? 'never' : `${duration(it.keys_age_seconds)} ago`)},
        {title: 'State', of: (it) => (!it.has_keys ? 'no keys' : it.is_failing ? 'last fetch failed' : 'ok')},
    ];
    return all.length === 0 ? none('There are no issuers.') : table('Issuers of tokens', columns, all, (it) => it.name);
}

function certificates(state, {certificates: all}) {
    const columns = [
        {title: 'Entry', kind: 'name', of: (it) => short(it.name, 60)},
        {title: 'Scopes', of: (it) => short(it.scopes.join(', '), 80)},
    ];
    return shortened(state, 'entries', all, 10, (some) => table('Certificates of clients', columns, some, (it) => it.name));
}

function expiry({overview: {time}}, expires) {
    if (expires === null) {
        return 'never';
    }
    const left = (expires - time) / 1000;
    return left > 0 ? `in ${duration(left)}` : 'expired';
}

export function config(state) {
    return withToken(state, 'the configuration', state.config, (report) => [
        report.waiting.length > 0 && [
            h('h3', {}, 'Waits for a restart'),
            changes(state, 'waiting', report.waiting.map((change) => ({...change, applies: 'restart'}))),
        ],
        h('h3', {}, 'Reloads'), h('div', {'data-part': 'reloads'}, reloads(state, report)),
        h('h3', {}, 'Settings in force'), settings(state, report),
    ]);
}

function reloads(state, {reloads: all}) {
    return all.length === 0 ? none('The configuration was not reloaded since the start.') : h('ol', {class: 'reloads'},
        all.map((reload) => h('li', {key: reload.time, class: reload.result},
            h('p', {}, h('time', {}, moment(reload.time)), ' ', h('strong', {}, reload.result), ' ',
                reload.result === 'applied' && (reload.changes.length > 0
                    ? count(reload.changes.length + reload.changes_left_out, 'change') : 'nothing had changed')),
            reload.detail && h('pre', {class: 'detail', tabindex: '0'}, reload.detail),
            reload.changes.length > 0 && changes(state, `reload ${reload.time}`, reload.changes))));
}

function changes(state, id, all) {
    const columns = [
        {title: 'Setting', kind: 'name', of: (it) => short(it.key, 120)},
        {title: 'Before', of: (it) => value(it.before)},
        {title: 'After', of: (it) => value(it.after)},
        {title: 'Applies', of: (it) => (it.applies === 'now' ? 'at once' : 'after a restart')},
    ];
    return shortened(state, id, all, 8, (some) => table('Changed settings', columns, some, (it) => it.key));
}

/** A value that is a secret is not in the answer: only that there is one. */
function value(setting) {
    if (!setting) {
        return h('span', {class: 'aside'}, 'not set');
    }
    if (setting.value === null) {
        return h('span', {class: 'aside'}, 'hidden');
    }
    return setting.value === '' ? h('span', {class: 'aside'}, 'empty') : short(setting.value, 500);
}

function settings(state, {settings: all, settings_left_out: left}) {
    const wanted = state.settingFilter.toLowerCase();
    const fits = (it) => (state.allSettings || it.origin !== 'default')
        && (it.key.toLowerCase().includes(wanted) || (it.value ?? '').toLowerCase().includes(wanted));
    const rows = all.filter(fits);
    const columns = [
        {title: 'Setting', kind: 'name', of: (it) => short(it.key, 120)},
        {title: 'Value', of: (it) => value(it)},
        {title: 'Set by', of: (it) => (it.origin === 'default' ? h('span', {class: 'aside'}, 'default') : short(it.origin, 80))},
    ];
    const filter = (event) => {
        state.settingFilter = event.target.value;
        state.draw();
    };
    const flip = (event) => {
        state.allSettings = event.target.checked;
        state.draw();
    };
    return [
        h('p', {class: 'filters'},
            h('label', {}, 'Find ', h('input', {type: 'search', spellcheck: 'false', on: {input: filter}})),
            h('label', {}, h('input', {type: 'checkbox', on: {change: flip}}), ' also defaults')),
        rows.length === 0 ? none('No setting fits.')
            : shortened(state, 'settings', rows, 40, (some) => table('Settings in force', columns, some, (it) => it.key)),
        left > 0 && none(`${count(left, 'setting')} more`),
    ];
}
