/* Keep one run's state in step with the server: snapshot, socket, catch-up by seq, polling while the socket is away.

   Changes are gathered and told once per frame, so that a burst of events paints once. */

import { list, parseEvent, whole } from './parse';
import { applyEvents, Gap } from './reducer';
import { type LinkState, openSocket, type Socket } from './socket';
import type { RunEvent, RunState } from './types';

export interface RunSource {
  /** The run as it is now. */
  snapshot: () => Promise<RunState>;
  /** Events that follow `after`, oldest first; an empty answer means there are none yet. */
  eventsAfter: (after: number) => Promise<readonly RunEvent[]>;
}

export interface FeedChange {
  readonly state: RunState;
  readonly changed: ReadonlySet<string> | 'all';
  readonly events: readonly RunEvent[];
  /** The events before these are not known: a list of events has a gap here. */
  readonly jumped: boolean;
}

export interface Feed {
  close: () => void;
  /** Fetch what is missing now, for example after an action of one's own. */
  refresh: () => void;
}

const POLL_MS = 2_000;
const ACK_MS = 200;

export function followRun(
  runId: string,
  first: RunState,
  source: RunSource,
  onChange: (change: FeedChange) => void,
  onLink: (state: LinkState) => void,
): Feed {
  let state = first;
  let changed = new Set<string>();
  let fresh: RunEvent[] = [];
  let everything = false;
  let frame = 0;
  let ackTimer = 0;
  let link: LinkState = 'connecting';
  let catchingUp = false;
  let closed = false;

  const paint = (): void => {
    frame = 0;
    if (closed) return;
    const change: FeedChange = {
      state,
      changed: everything ? 'all' : changed,
      events: fresh,
      jumped: everything,
    };
    changed = new Set();
    fresh = [];
    everything = false;
    onChange(change);
  };
  const soon = (): void => {
    // A hidden page gets no animation frames, but its state should not wait for being seen.
    if (!frame) frame = document.hidden ? window.setTimeout(paint, 100) : requestAnimationFrame(paint);
  };
  const take = (events: readonly RunEvent[]): void => {
    const before = state.seq;
    const folded = applyEvents(state, events);
    if (folded.state.seq === before) return;
    state = folded.state;
    for (const id of folded.changed) changed.add(id);
    fresh.push(...events.filter((event) => event.seq > before));
    soon();
  };
  const ack = (): void => {
    ackTimer = 0;
    socket.send({ ack: state.seq });
  };
  const reload = async (): Promise<void> => {
    const newest = await source.snapshot();
    if (newest.seq < state.seq) return;
    state = { ...newest, loops: state.loops };
    everything = true;
    fresh = [];
    soon();
    socket.send({ after: state.seq });
  };
  const catchUp = async (): Promise<void> => {
    if (catchingUp || closed) return;
    catchingUp = true;
    try {
      for (;;) {
        const events = await source.eventsAfter(state.seq);
        if (closed || events.length === 0) break;
        take(events);
      }
    } catch (problem) {
      if (problem instanceof Gap) await reload().catch(() => undefined);
    } finally {
      catchingUp = false;
    }
  };

  const socket: Socket = openSocket({
    path: () => `/ws/runs/${runId}/?after=${state.seq}`,
    onState: (next) => {
      link = next;
      onLink(next);
    },
    onFrame: (message) => {
      if (message.type === 'reload') void reload().catch(() => undefined);
      if (message.type === 'probe' && whole(message.seq) > state.seq) socket.send({ after: state.seq });
      if (message.type !== 'events') return;
      try {
        take(list(message.events).map(parseEvent));
      } catch (problem) {
        if (!(problem instanceof Gap)) throw problem;
        socket.send({ after: state.seq });
      }
      ackTimer ||= window.setTimeout(ack, ACK_MS);
    },
  });
  const poll = window.setInterval(() => {
    if (link !== 'open' && link !== 'refused') void catchUp();
  }, POLL_MS);

  return {
    refresh: () => void catchUp(),
    close: () => {
      closed = true;
      window.clearInterval(poll);
      window.clearTimeout(ackTimer);
      cancelAnimationFrame(frame);
      socket.close();
    },
  };
}
