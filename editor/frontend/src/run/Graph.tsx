/* The live graph. Nodes listen to their own task; panning and zooming move one layer and touch no node. */

import { Maximize2, Minus, Plus } from 'lucide-react';
import { memo, useCallback, useMemo, useRef, useState } from 'react';
import type { Analysis } from '../graph/loops';
import type { LoopView, TaskView } from '../live/types';
import { OUTCOME_WORDS, OutcomeMark, TaskIcon } from '../ui/status';
import { type Box, type Drawing, type DrawnEdge, type DrawnGroup, draw } from './drawing';
import { type PlannedRun, taskName } from './plan';
import { type RunStore, useRun, useTask } from './store';
import { useView } from './view';
import { loopEndWords, shortStateWords, stateWords } from './words';

const STEP = 1.25;
const UNDER_WAY: ReadonlySet<string> = new Set([
  'feedback_required',
  'running',
  'error',
  'retry_waiting',
  'ready',
]);

interface GraphProps {
  store: RunStore;
  plan: PlannedRun;
  selected: string | null;
  onSelect: (id: string) => void;
}

export function Graph({ store, plan, selected, onSelect }: GraphProps) {
  const stage = useRef<HTMLElement>(null);
  const layer = useRef<HTMLDivElement>(null);
  const taskIds = useRun(store, (run) => run.taskIds);
  const drawing = useMemo(() => {
    const made = taskIds.flatMap((id) => {
      const parent = store.task(id).parent;
      return parent && !plan.labels.has(id) ? [{ id, parent }] : [];
    });
    return draw(plan.graph, plan.places, plan.loopEdges, made);
  }, [plan, taskIds, store]);
  const heads = useMemo(
    () => new Set([...plan.analysis.loops.values()].flatMap((loop) => loop.heads)),
    [plan],
  );
  const order = useMemo(() => readingOrder(drawing), [drawing]);
  const first = useRef(selected ?? order.find((id) => isOfInterest(store.task(id))) ?? order[0]);
  const { zoomBy, fit } = useView(stage, layer, drawing.bounds, drawing.nodes.get(first.current ?? ''));
  const [focused, setFocused] = useState<string | null>(null);
  const tabStop = focused ?? selected ?? order[0] ?? null;

  const nodes = useRef(drawing.nodes);
  nodes.current = drawing.nodes;
  const onKey = useCallback((id: string, event: React.KeyboardEvent): void => {
    const next = neighbour(nodes.current, id, event.key);
    if (!next) return;
    event.preventDefault();
    stage.current?.querySelector<HTMLElement>(`[data-task-id="${CSS.escape(next)}"]`)?.focus();
  }, []);

  return (
    <section className="graph" ref={stage} aria-label="Graph of the run">
      <div className="graph-layer" ref={layer}>
        {drawing.groups.map((group) => (
          <GroupFrame key={group.id} group={group} />
        ))}
        <Edges
          edges={drawing.edges}
          analysis={plan.analysis}
          store={store}
          plan={plan}
          bounds={drawing.bounds}
        />
        {order.map((id) => (
          <TaskNode
            key={id}
            id={id}
            box={drawing.nodes.get(id) as Box}
            label={plan.labels.get(id) ?? taskName(plan, store.task(id))}
            kind={plan.kinds.get(id) ?? 'task'}
            limit={plan.limits.get(id) ?? null}
            isHead={heads.has(id)}
            store={store}
            isSelected={selected === id}
            isTabStop={tabStop === id}
            onSelect={onSelect}
            onFocus={setFocused}
            onKey={onKey}
          />
        ))}
      </div>
      <div className="graph-tools">
        <button
          type="button"
          className="button button--icon"
          aria-label="Zoom in"
          onClick={() => zoomBy(STEP)}
        >
          <Plus className="icon" aria-hidden="true" />
        </button>
        <button
          type="button"
          className="button button--icon"
          aria-label="Zoom out"
          onClick={() => zoomBy(1 / STEP)}
        >
          <Minus className="icon" aria-hidden="true" />
        </button>
        <button type="button" className="button button--icon" aria-label="Show the whole graph" onClick={fit}>
          <Maximize2 className="icon" aria-hidden="true" />
        </button>
      </div>
    </section>
  );
}

function GroupFrame({ group }: { group: DrawnGroup }) {
  const { x, y, width, height } = group;
  return (
    <div className="group-frame" style={{ transform: `translate(${x}px, ${y}px)`, width, height }}>
      <span>{group.label}</span>
    </div>
  );
}

interface NodeProps {
  id: string;
  box: Box;
  label: string;
  kind: string;
  limit: number | null;
  isHead: boolean;
  store: RunStore;
  isSelected: boolean;
  isTabStop: boolean;
  onSelect: (id: string) => void;
  onFocus: (id: string) => void;
  onKey: (id: string, event: React.KeyboardEvent) => void;
}

const TaskNode = memo(function TaskNode(props: NodeProps) {
  const { id, box, label, kind, limit, isHead, store, isSelected, isTabStop, onSelect, onFocus, onKey } =
    props;
  const task = useTask(store, id);
  const passes = useRun(store, (run) => (isHead ? (loopOf(run.state.loops, [id])?.passes ?? null) : null));
  const rounds: Rounds = { round: passes === null ? task.iteration : passes + 1, limit, isHead };
  const words = stateWords(task, kind);
  const counter = roundsText(rounds);
  return (
    <button
      type="button"
      className="task-node"
      data-testid="task-node"
      data-task-id={id}
      data-status={task.status}
      data-iteration={task.iteration}
      data-attempt={task.attempt}
      data-outcome={task.outcome ?? undefined}
      aria-pressed={isSelected}
      aria-label={spoken(label, words, task, rounds)}
      tabIndex={isTabStop ? 0 : -1}
      style={{ transform: `translate(${box.x}px, ${box.y}px)`, width: box.width, height: box.height }}
      onClick={() => onSelect(id)}
      onFocus={() => onFocus(id)}
      onKeyDown={(event) => onKey(id, event)}
    >
      <span className="task-node-icon">
        <TaskIcon status={task.status} />
      </span>
      <span className="task-node-text">
        <span className="task-node-label">{label}</span>
        <span className="task-node-state">
          <span className="truncate">{shortStateWords(task, kind)}</span>
          {counter ? <span className="mini numeric">{counter}</span> : null}
          {task.attempt > 1 ? <span className="mini">try {task.attempt}</span> : null}
        </span>
      </span>
      {task.status === 'completed' && task.outcome ? <OutcomeMark outcome={task.outcome} /> : null}
    </button>
  );
});

/** `round` counts since the loop was entered, as the limit does; the task's iteration counts over the whole run. */
interface Rounds {
  readonly round: number;
  readonly limit: number | null;
  readonly isHead: boolean;
}

function isOfInterest(task: TaskView): boolean {
  return UNDER_WAY.has(task.status) || task.outcome === 'error';
}

function roundsText({ round, limit, isHead }: Rounds): string | null {
  if (!isHead && round < 2) return null;
  return limit ? `${round} / ${limit}` : `${round}`;
}

function spoken(label: string, words: string, task: TaskView, rounds: Rounds): string {
  const parts = [`${label}: ${words.toLowerCase()}`];
  if (roundsText(rounds)) {
    parts.push(`iteration ${rounds.round}${rounds.limit ? ` of ${rounds.limit}` : ''}`);
  }
  if (task.attempt > 1) parts.push(`attempt ${task.attempt}`);
  if (task.outcome && task.status !== 'completed') parts.push(OUTCOME_WORDS[task.outcome]);
  return parts.join(', ');
}

interface EdgesProps {
  edges: readonly DrawnEdge[];
  analysis: Analysis;
  store: RunStore;
  plan: PlannedRun;
  bounds: Box;
}

const Edges = memo(function Edges({ edges, store, plan }: EdgesProps) {
  return (
    <>
      <svg className="edges" width="1" height="1" aria-hidden="true" focusable="false">
        <defs>
          <marker
            id="arrow"
            viewBox="0 0 8 8"
            refX="6"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            orient="auto"
          >
            <path d="M0 0 L8 4 L0 8 z" />
          </marker>
        </defs>
        {edges.map((edge) => (
          <path
            key={edge.id}
            className="edge"
            data-testid="edge"
            data-edge-id={edge.id}
            data-loop={edge.isLoop}
            data-on={edge.on}
            d={edge.path}
            markerEnd="url(#arrow)"
          />
        ))}
      </svg>
      {edges.map((edge) =>
        edge.isLoop ? (
          <LoopBadge key={edge.id} edge={edge} store={store} plan={plan} />
        ) : edge.on !== 'success' && edge.on !== 'made' ? (
          <span key={edge.id} className="edge-label" style={at(edge)}>
            on {edge.on}
          </span>
        ) : null,
      )}
    </>
  );
});

function LoopBadge({ edge, store, plan }: { edge: DrawnEdge; store: RunStore; plan: PlannedRun }) {
  const heads = plan.headsOf(edge.target);
  const loop = useRun(store, (run) => loopOf(run.state.loops, heads));
  const head = useTask(store, heads[0] ?? edge.target);
  const bounds = heads.map((id) => plan.limits.get(id) ?? 0).filter((bound) => bound > 0);
  const limit = bounds.length ? Math.min(...bounds) : 0;
  const round = loop ? loop.passes + 1 : head.iteration;
  const ended = loop?.endedBecause ?? null;
  const words = ended ? `The loop ended: ${loopEndWords(ended)}` : 'How often the loop has gone round';
  return (
    <span
      className="loop-badge"
      style={at(edge)}
      data-testid="loop-badge"
      data-ended={ended !== null}
      title={words}
    >
      <span className="numeric">{limit ? `${round} / ${limit}` : round}</span>
      {ended ? <span className="loop-end">{ENDED_SHORT[ended] ?? 'ended'}</span> : null}
      {!ended && edge.on !== 'success' ? <span className="loop-end">on {edge.on}</span> : null}
    </span>
  );
}

const ENDED_SHORT: Record<string, string> = {
  converged: 'converged',
  cycle_limit: 'limit reached',
  condition: 'took the exit',
  error: 'ended by an error',
  stopped: 'stopped',
};

function loopOf(loops: ReadonlyMap<number, LoopView>, heads: readonly string[]): LoopView | null {
  for (const loop of loops.values()) if (heads.includes(loop.head)) return loop;
  return null;
}

function at(edge: DrawnEdge): React.CSSProperties {
  return { transform: `translate(${edge.middle.x}px, ${edge.middle.y}px) translate(-50%, -50%)` };
}

function readingOrder(drawing: Drawing): string[] {
  const boxes = [...drawing.nodes];
  return boxes.sort(([, a], [, b]) => a.x - b.x || a.y - b.y).map(([id]) => id);
}

/** The nearest node in the direction of an arrow key. */
function neighbour(nodes: ReadonlyMap<string, Box>, from: string, key: string): string | null {
  const here = nodes.get(from);
  const direction = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  if (!here || !direction) return null;
  const [dx, dy] = direction as [number, number];
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const [id, box] of nodes) {
    const along = (box.x - here.x) * dx + (box.y - here.y) * dy;
    const across = Math.abs((box.x - here.x) * dy) + Math.abs((box.y - here.y) * dx);
    const cost = along + 2 * across;
    if (id !== from && along > 10 && cost < least) [best, least] = [id, cost];
  }
  return best;
}
