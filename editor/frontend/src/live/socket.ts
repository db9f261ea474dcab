/* One socket that comes back by itself. It knows nothing of what travels over it. */

export type LinkState = 'connecting' | 'open' | 'waiting' | 'refused';

export interface SocketOptions {
  /** The path to open, asked anew before each try, so that it can carry the last seq. */
  path: () => string;
  onFrame: (frame: Record<string, unknown>) => void;
  onState?: (state: LinkState) => void;
}

export interface Socket {
  send: (frame: unknown) => void;
  close: () => void;
}

const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 15_000;
const STEADY_MS = 5_000;
const REFUSALS = new Set([4401, 4403, 4404]);

/** Full jitter: clients that lost the server together do not come back together. */
export function delayMs(failures: number, random: () => number = Math.random): number {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1));
  return 100 + random() * ceiling;
}

export function openSocket(options: SocketOptions): Socket {
  let socket: WebSocket | null = null;
  let timer = 0;
  let failures = 0;
  let openedAt = 0;
  let finished = false;

  const tell = (state: LinkState): void => options.onState?.(state);

  const open = (): void => {
    window.clearTimeout(timer);
    tell('connecting');
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    const current = new WebSocket(`${scheme}://${window.location.host}${options.path()}`);
    socket = current;
    current.onopen = () => {
      openedAt = Date.now();
      tell('open');
    };
    current.onmessage = (message) => {
      if (current === socket) options.onFrame(JSON.parse(String(message.data)) as Record<string, unknown>);
    };
    current.onclose = (event) => {
      if (finished || current !== socket) return;
      if (REFUSALS.has(event.code)) {
        tell('refused');
        return;
      }
      // A socket that stayed open for a while was healthy: start counting again.
      failures = openedAt && Date.now() - openedAt > STEADY_MS ? 1 : failures + 1;
      openedAt = 0;
      tell('waiting');
      timer = window.setTimeout(open, delayMs(failures));
    };
  };

  const hurry = (): void => {
    if (!finished && !document.hidden && socket?.readyState === WebSocket.CLOSED) {
      failures = 0;
      open();
    }
  };
  window.addEventListener('online', hurry);
  document.addEventListener('visibilitychange', hurry);
  open();

  return {
    send: (frame) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
    },
    close: () => {
      finished = true;
      window.clearTimeout(timer);
      window.removeEventListener('online', hurry);
      document.removeEventListener('visibilitychange', hurry);
      socket?.close();
    },
  };
}
