// Follows `recentchange` of the gateway at argv[2] for argv[3] milliseconds, as the package does by default.
import { WikimediaStream } from 'wikimedia-streams';

const [, , gateway, milliseconds] = process.argv;

// It knows one host only, which it asks through a proxy: ours, which takes a whole URL for a target.
const stream = new WikimediaStream('recentchange', { proxy: gateway });
stream.on('error', () => {});

setTimeout(() => process.exit(0), Number(milliseconds));
