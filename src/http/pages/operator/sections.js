// The tables of streams, clusters, clients, memory and TLS.

import {h} from './dom.js';
import {bytes, count, duration, moment, number, short, whole} from './format.js';
import {bar, facts, mark, none, shortened, table} from './pieces.js';

const RANK = {ok: 0, degraded: 1, failing: 2};
const STATE = {title: 'State', kind: 'state', of: (row) => mark(row.state)};
const REASON = {title: 'Reason', kind: 'reason', of: (row) => short(row.reason, 300)};

/** Returns rows with the worst first, and otherwise in their order. */
function worstFirst(rows) {
    return [...rows].sort((one, other) => RANK[other.state] - RANK[one.state]);
}

export function streams(state) {
    const {overview, readings} = state;
    const {health} = overview;
    const configured = new Map(overview.streams.map((stream) => [stream.name, stream]));
    const rows = health.streams.map((stream) => {
        const {topics = [], rate = {}, scopes = [], max_clients: most} = configured.get(stream.name) ?? {};
        const of = (cluster) => cluster.partitions.filter((it) => topics.includes(it.topic));
        const read = health.clusters.filter((cluster) => cluster.active && of(cluster).length > 0);
        const partitions = read.flatMap(of);
        const own = {stream: stream.name};
        return {
            ...stream, topics, rate, scopes, most, partitions: partitions.length, clusters: read.map((it) => it.name),
            lag: partitions.reduce((total, it) => total + (it.lag ?? 0), 0),
            open: readings.value('riverhead_streams_open', own),
            sent: readings.rate('riverhead_events_sent_total', own),
        };
    });
    if (rows.length === 0) {
        return none('There are no streams.');
    }
    const columns = [
        STATE,
        {title: 'Stream', kind: 'name', of: (it) => h('span', {title: it.topics.join(', ')}, it.name)},
        {title: 'Access', of: (it) => (it.scopes.length > 0 ? short(it.scopes.join(', '), 40) : 'public')},
        {title: 'Cluster', of: (it) => it.clusters.join(', ') || '–'},
        {title: 'Partitions', kind: 'number', of: (it) => whole(it.partitions)},
        {title: 'In /s', kind: 'number', help: 'Events a second that come, over the last minute', of: (it) => number(it.rate.minute)},
        {title: 'In /s, 1 h', kind: 'number', help: 'The same over the last hour', of: (it) => number(it.rate.hour)},
        {title: 'Readers', kind: 'number', help: 'Streams that clients have open', of: (it) => whole(it.open) + (it.most ? ` of ${whole(it.most)}` : '')},
        {title: 'Sent /s', kind: 'number', help: 'Events a second that are sent to all clients', of: (it) => number(it.sent)},
        {title: 'Lag', kind: 'number', of: (it) => number(it.lag)},
        {title: 'Last event', kind: 'number', help: 'Time since the last event came', of: (it) => duration(it.last_event_age_seconds)},
        REASON,
    ];
    const composite = readings.value('riverhead_streams_open', {stream: 'composite'});
    return [
        shortened(state, 'streams', worstFirst(rows), 20, (some) => table('Streams', columns, some, (it) => it.name)),
        composite > 0 && h('p', {class: 'none'}, `Beside these, ${count(composite, 'reader')} read several streams at once.`),
    ];
}

export function clusters(state) {
    const {health} = state.overview;
    return worstFirst(health.clusters).map((cluster) => h('section', {key: cluster.name, class: 'cluster', 'aria-label': `Cluster ${cluster.name}`},
        h('h3', {}, mark(cluster.state), `${cluster.name} `, h('span', {class: 'aside'}, cluster.active ? 'active' : 'standby')),
        h('p', {class: 'reason'}, short(cluster.reason, 600)),
        facts([
            ['Cluster id', cluster.cluster_id ?? '–'],
            ['Brokers', `${cluster.brokers_reachable} of ${cluster.brokers.length} answer`],
            ['Bootstrap list', h('span', {title: cluster.bootstrap.join(', ')}, `${cluster.bootstrap_reachable ?? '–'} of ${cluster.bootstrap.length} accept connections`)],
            ['Metadata', cluster.metadata_age_seconds === null ? '–' : `${duration(cluster.metadata_age_seconds)} old`],
            cluster.missing_topics.length > 0 && ['Missing topics', short(cluster.missing_topics.join(', '), 300)],
        ]),
        h('div', {'data-part': 'brokers'}, brokers(state, cluster)),
        cluster.topics.some((it) => it.state !== 'ok') && topics(state, cluster),
        h('div', {'data-part': 'partitions'}, partitions(state, cluster))));
}

function brokers(state, cluster) {
    const columns = [
        STATE,
        {title: 'Broker', kind: 'number', of: (it) => it.id},
        {title: 'Address', of: (it) => it.address ?? '–'},
        {title: 'Connection', of: (it) => (it.connection ?? '–').toLowerCase()},
        {title: 'Response', kind: 'number', help: 'The 99th percentile of the response time', of: (it) => duration(it.rtt_seconds)},
        {title: 'Answered', kind: 'number', of: (it) => (it.answered_age_seconds === null ? 'never' : `${duration(it.answered_age_seconds)} ago`)},
        {title: 'Connects', kind: 'number', of: (it) => whole(it.connects)},
        {title: 'Disconnects', kind: 'number', of: (it) => whole(it.disconnects)},
        REASON,
    ];
    const draw = (some) => table(`Brokers of ${cluster.name}`, columns, some, (it) => it.id);
    return cluster.brokers.length > 0 ? shortened(state, `brokers ${cluster.name}`, worstFirst(cluster.brokers), 12, draw)
        : none('No broker is known.');
}

function topics(state, cluster) {
    const rows = worstFirst(cluster.topics.filter((it) => it.state !== 'ok'));
    const columns = [STATE, {title: 'Topic', kind: 'name', of: (it) => it.topic}, {title: 'Error', of: (it) => it.error ?? ''}, REASON];
    return shortened(state, `topics ${cluster.name}`, rows, 12, (some) => table(`Topics of ${cluster.name} with faults`, columns, some, (it) => it.topic));
}

function partitions(state, cluster) {
    const lag = (it) => it.lag ?? 0;
    const rows = [...cluster.partitions].sort((one, other) => RANK[other.state] - RANK[one.state] || lag(other) - lag(one));
    const columns = [
        STATE,
        {title: 'Partition', kind: 'name', of: (it) => `${it.topic}-${it.partition}`},
        {title: 'Leader', kind: 'number', of: (it) => it.leader ?? 'none'},
        {title: 'Read from', kind: 'number', of: (it) => it.fetched_from ?? '–'},
        {title: 'Next', kind: 'number', help: 'The offset that is read next', of: (it) => whole(it.next_offset)},
        {title: 'End', kind: 'number', help: 'The high watermark', of: (it) => whole(it.high_watermark)},
        {title: 'Lag', kind: 'number', of: (it) => number(it.lag)},
        {title: 'Last event', kind: 'number', of: (it) => duration(it.last_event_age_seconds)},
        {title: 'Fetched', kind: 'number', help: 'Time since the broker answered a fetch', of: (it) => duration(it.last_fetch_age_seconds)},
        {title: 'Memory', kind: 'number', of: (it) => bytes(it.memory_bytes)},
        REASON,
    ];
    const draw = (some) => table(`Partitions of ${cluster.name}`, columns, some, (it) => `${it.topic}-${it.partition}`);
    return rows.length > 0 ? shortened(state, `partitions ${cluster.name}`, rows, 12, draw) : none('No partition is read from here.');
}

export function clients(state) {
    const {overview: {limits}, readings} = state;
    const ago = (seconds) => `${duration(seconds)} ago`;
    const holders = [
        {title: 'Client', kind: 'name', of: (it) => short(it.client, 60)},
        {title: 'Principal', of: (it) => short(it.principal ?? '–', 60)},
        {title: 'Streams', kind: 'number', of: (it) => whole(it.streams)},
        {title: 'Oldest', kind: 'number', of: (it) => duration(it.oldest_seconds)},
        {title: 'Newest', kind: 'number', of: (it) => duration(it.newest_seconds)},
    ];
    const refused = [
        {title: 'Client', kind: 'name', of: (it) => short(it.client, 60)},
        {title: 'Refusals', kind: 'number', of: (it) => (it.overcounted_by_at_most > 0 ? '≤ ' : '') + whole(it.refusals)},
        {title: 'Last reason', of: (it) => it.last_reason},
        {title: 'First', kind: 'number', of: (it) => ago(it.first_seconds_ago)},
        {title: 'Last', kind: 'number', of: (it) => ago(it.last_seconds_ago)},
    ];
    return [
        facts([
            ['Streams', [bar('Streams', limits.streams, limits.streams_total), `${whole(limits.streams)} of ${whole(limits.streams_total)}`]],
            ['Clients with a stream', whole(limits.clients)],
            ['Connections', whole(readings.value('riverhead_http_connections'))],
            ['Without a stream', whole(readings.value('riverhead_http_connections_without_stream'))],
        ]),
        h('div', {class: 'two'},
            h('div', {}, h('h3', {}, 'Most streams'), limits.by_streams.length > 0
                ? shortened(state, 'by streams', limits.by_streams, 10, (some) => table('Clients with most streams', holders, some, (it) => it.client))
                : none('No client has a stream.')),
            h('div', {'data-part': 'refusals'}, h('h3', {}, 'Refusals'), counts(readings, 'riverhead_refusals_total', 'reason', 'Nothing was refused.', 'Refusals by reason'),
                limits.by_refusals.length > 0 && shortened(state, 'by refusals', limits.by_refusals, 10,
                    (some) => table('Clients that are refused most', refused, some, (it) => it.client)))),
        h('div', {class: 'two'},
            h('div', {}, h('h3', {}, 'Ends of streams'), counts(readings, 'riverhead_streams_ended_total', 'reason', 'No stream has ended.', 'Ends of streams by reason')),
            h('div', {}, h('h3', {}, 'Responses'), counts(readings, 'riverhead_http_responses_total', 'status', 'Nothing was answered.', 'Responses by status'))),
    ];
}

/** Returns the sums of a counter by the values of one label, the largest rate first. */
export function counts(readings, name, label, empty, caption) {
    const values = new Set(readings.samples(name).map((sample) => sample.labels[label]));
    const rows = [...values].map((value) => {
        const labels = {[label]: value};
        return {value, total: readings.value(name, labels), rate: readings.rate(name, labels)};
    }).filter(({total}) => total > 0).sort((one, other) => (other.rate ?? 0) - (one.rate ?? 0) || other.total - one.total);
    return rows.length === 0 ? none(empty) : table(caption, [
        {title: label[0].toUpperCase() + label.slice(1), kind: 'name', of: (it) => it.value},
        {title: 'A second', kind: 'number', of: (it) => number(it.rate)},
        {title: 'Since the start', kind: 'number', of: (it) => whole(it.total)},
    ], rows, (it) => it.value);
}

export function memory({overview: {memory: {pools, resident_bytes: resident}}, readings}) {
    const what = {
        tail: 'newest records of all partitions',
        history: 'older records, for clients that catch up',
        lanes: 'batches that clients share or have not taken yet',
    };
    const columns = [
        {title: 'Budget', kind: 'name', of: (it) => it.name},
        {title: 'Used', kind: 'number', of: (it) => bytes(it.bytes)},
        {title: 'Of', kind: 'number', of: (it) => bytes(it.budget_bytes)},
        {title: 'Share', kind: 'share', of: (it) => bar(it.name, it.bytes, it.budget_bytes)},
        {title: 'For', of: (it) => what[it.name] ?? ''},
    ];
    return [
        table('Memory against its budgets', columns, pools, (it) => it.name),
        facts([
            ['Resident', bytes(resident)],
            ['Filters', bytes(readings.value('riverhead_filter_bytes'))],
            ['Lanes', whole(readings.value('riverhead_lanes'))],
            ['Partitions', whole(readings.value('riverhead_partitions'))],
        ]),
    ];
}

export function tls({overview: {health, time}, readings}) {
    const certificates = readings.samples('riverhead_tls_certificate_expiry_timestamp_seconds').map(({labels, value}) => {
        const left = value - time / 1000;
        const state = left <= 0 ? 'failing' : left < 14 * 86_400 ? 'degraded' : 'ok';
        return {...labels, state, expires: value * 1000, left};
    }).sort((one, other) => one.left - other.left);
    if (certificates.length === 0 && !health.tls) {
        return none('No listener has TLS.');
    }
    const columns = [
        STATE,
        {title: 'Listener', of: (it) => it.listener},
        {title: 'Certificate', kind: 'name', of: (it) => short(it.certificate, 100)},
        {title: 'Expires', of: (it) => moment(it.expires)},
        {title: 'In', kind: 'number', of: (it) => (it.left > 0 ? duration(it.left) : 'expired')},
    ];
    return [
        facts((health.tls ?? []).map((it) => [`Listener ${it.listener}`, [mark(it.state), short(it.reason, 300)]])),
        certificates.length > 0 && table('Certificates', columns, certificates, (it) => `${it.listener} ${it.certificate}`),
        h('div', {class: 'two'}, h('div', {}, h('h3', {}, 'Handshakes'),
            counts(readings, 'riverhead_tls_handshakes_total', 'outcome', 'There was no handshake.', 'Handshakes by outcome')), h('div', {})),
    ];
}
