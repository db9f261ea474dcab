/* What happened, newest last. Only the newest rows are drawn; older ones come on demand. */

import { useLayoutEffect, useRef, useState } from 'react';
import { taskStatus } from '../live/parse';
import type { RunEvent } from '../live/types';
import { TaskIcon } from '../ui/status';
import { clockTime, fullTime } from '../ui/time';
import { type PlannedRun, taskName } from './plan';
import { type RunStore, useRun } from './store';
import { eventWords, speaksForItself } from './words';

const SHOWN = 200;

interface EventListProps {
  store: RunStore;
  plan: PlannedRun;
  onSelect: (id: string) => void;
}

export function EventList({ store, plan, onSelect }: EventListProps) {
  const events = useRun(store, (run) => run.events);
  const [more, setMore] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const nameOf = (id: string): string => taskName(plan, store.task(id));
  const hidden = Math.max(0, events.length - SHOWN - more);

  // biome-ignore lint/correctness/useExhaustiveDependencies: follows the newest event when a person is at the end
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [events.length]);

  if (events.length === 0) return <p className="panel-empty muted">Nothing has happened yet.</p>;
  return (
    <section
      className="events"
      ref={scroller}
      aria-label="Events"
      onScroll={(event) => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        atEnd.current = scrollHeight - scrollTop - clientHeight < 40;
      }}
    >
      {hidden > 0 ? (
        <button type="button" className="button button--quiet" onClick={() => setMore(more + SHOWN)}>
          Show {Math.min(hidden, SHOWN)} earlier events of {hidden}
        </button>
      ) : null}
      <ol className="event-list">
        {events.slice(hidden).map((event) => (
          <EventRow
            key={event.seq}
            event={event}
            words={eventWords(event, nameOf)}
            name={event.taskId === null ? '' : nameOf(event.taskId)}
            onSelect={onSelect}
          />
        ))}
      </ol>
    </section>
  );
}

function EventRow({
  event,
  name,
  words,
  onSelect,
}: {
  event: RunEvent;
  /** What its task is called; empty for events of the run. */
  name: string;
  words: string;
  onSelect: (id: string) => void;
}) {
  const { taskId } = event;
  const named = taskId !== null && !speaksForItself(event);
  return (
    <li className="event-row" data-testid="event-row" data-seq={event.seq} data-type={event.type}>
      <time className="muted numeric" dateTime={event.at} title={fullTime(event.at)}>
        {clockTime(event.at)}
      </time>
      <span className="event-mark status" data-status={event.to ?? undefined}>
        {event.to && event.type !== 'run_status' ? (
          <TaskIcon status={taskStatus(event.to)} />
        ) : (
          <i className="dot" />
        )}
      </span>
      <span className="event-words">
        {named ? (
          <button type="button" className="link-button" onClick={() => onSelect(taskId)}>
            {name}
          </button>
        ) : null}{' '}
        {words}
        {named && event.iteration > 1 ? <span className="mini">iteration {event.iteration}</span> : null}
        {named && event.attempt > 1 ? <span className="mini">try {event.attempt}</span> : null}
      </span>
    </li>
  );
}
