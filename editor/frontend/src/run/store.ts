/* The run outside of React: each node listens to its own task, so that one change paints one node. */

import { useCallback, useSyncExternalStore } from 'react';
import type { FeedChange } from '../live/feed';
import { newTask } from '../live/parse';
import { loopsOf } from '../live/reducer';
import type { LinkState } from '../live/socket';
import type { RunEvent, RunState, TaskView } from '../live/types';

type Listener = () => void;

export class RunStore {
  private listeners = new Set<Listener>();
  private taskListeners = new Map<string, Set<Listener>>();
  state: RunState;
  events: readonly RunEvent[] = [];
  /** Ids in order of appearance; a new array only when a task was added. */
  taskIds: readonly string[];
  link: LinkState = 'connecting';
  private pastLoops: RunState['loops'] = new Map();

  constructor(first: RunState) {
    this.state = first;
    this.taskIds = [...first.tasks.keys()];
  }

  apply(change: FeedChange): void {
    this.state = { ...change.state, loops: new Map([...this.pastLoops, ...change.state.loops]) };
    if (change.jumped) this.events = [];
    if (change.events.length) this.events = [...this.events, ...change.events];
    if (this.state.tasks.size !== this.taskIds.length) this.taskIds = [...this.state.tasks.keys()];
    const ids = change.changed === 'all' ? this.taskIds : change.changed;
    for (const id of ids) for (const listener of this.taskListeners.get(id) ?? []) listener();
    this.tell();
  }

  /** Events from before the first snapshot: they complete the list and tell what loops did so far. */
  addHistory(history: readonly RunEvent[]): void {
    const first = this.events[0]?.seq ?? Number.POSITIVE_INFINITY;
    this.events = [...history.filter((event) => event.seq < first), ...this.events];
    this.pastLoops = loopsOf(this.events);
    this.state = { ...this.state, loops: new Map([...this.pastLoops, ...this.state.loops]) };
    this.tell();
  }

  setLink(link: LinkState): void {
    this.link = link;
    this.tell();
  }

  task(id: string): TaskView {
    return this.state.tasks.get(id) ?? blank(id);
  }

  subscribe = (listener: Listener): Listener => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  subscribeTask(id: string, listener: Listener): Listener {
    const set = this.taskListeners.get(id) ?? new Set();
    this.taskListeners.set(id, set.add(listener));
    return () => set.delete(listener);
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

const blanks = new Map<string, TaskView>();

/** A task the plan has and the run does not tell of yet; the same object each time, as React wants it. */
function blank(id: string): TaskView {
  const known = blanks.get(id) ?? newTask(id);
  blanks.set(id, known);
  return known;
}

export function useRun<T>(store: RunStore, select: (store: RunStore) => T): T {
  return useSyncExternalStore(store.subscribe, () => select(store));
}

export function useTask(store: RunStore, id: string): TaskView {
  const subscribe = useCallback((listener: Listener) => store.subscribeTask(id, listener), [store, id]);
  return useSyncExternalStore(subscribe, () => store.task(id));
}
