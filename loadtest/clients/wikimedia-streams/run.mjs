// Follows `recentchange` of the gateway at argv[2] for argv[3] milliseconds, as the package does by default.
import { WikimediaStream } from 'wikimedia-streams';

const [, , gateway, milliseconds] = process.argv;

// The package knows one host only. It requests that through a proxy: this gateway, which accepts a whole URL as target.
const stream = new WikimediaStream('recentchange', { proxy: gateway });
stream.on('error', () => {});

setTimeout(() => process.exit(0), Number(milliseconds));
