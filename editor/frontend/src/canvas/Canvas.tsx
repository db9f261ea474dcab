/* The drawing surface: React Flow carries boxes, wires and the view; the graph stays in the editor's state. */

import {
  type ConnectionMode,
  type EdgeChange,
  type NodeChange,
  type OnConnectEnd,
  Position,
  ReactFlow,
  useReactFlow,
  type Viewport,
} from '@xyflow/react';
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import {
  edgeName,
  edgeOn,
  expressionOf,
  type Graph,
  kindOf,
  labelOf,
  type Point,
  placeOf,
  text,
} from '../graph/document';
import type { Template } from '../graph/edits';
import { NODE_HEIGHT, NODE_WIDTH, snap } from '../graph/layout';
import { type Analysis, boundReason, boundText, stepBound } from '../graph/loops';
import { useEditor, useSlice } from './context';
import { EmptyCanvas } from './EmptyCanvas';
import { Flow, type FlowEdge } from './edges';
import type { Found } from './editor';
import { GroupFrame, type GroupNode, Step, type StepNode } from './nodes';
import { around, type Box, leading, type Scene, sceneOf } from './scene';

type AnyNode = StepNode | GroupNode;

const NODE_TYPES = { step: Step, frame: GroupFrame };
const EDGE_TYPES = { flow: Flow };
const GRID = 24;
/** From this many steps on only what is in view is kept in the page. */
const MANY = 150;
/** Below this zoom small texts cannot be read, so they are not drawn. */
const FAR = 0.4;
export const DRAG_TYPE = 'application/x-graflow-step';
const READABLE = 0.45;
/** Room left around a step that was brought into view, in pixels of the screen. */
const MARGIN = 56;
const FIT = { padding: 0.1, maxZoom: 1.1, minZoom: 0.2 };
const NOTHING: ReadonlyMap<string, Point> = new Map();

/** The one tab stop of the canvas is `stage`. The step in hand is named by `aria-activedescendant`. */
export function Canvas({ stage }: { stage: RefObject<HTMLDivElement | null> }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const analysis = useSlice((state) => state.analysis);
  const selection = useSlice((state) => state.selection);
  const problems = useSlice((state) => state.problems);
  const canEdit = useSlice((state) => state.can.edit);
  const target = useSlice((state) => state.connecting?.target);
  const isConnecting = useSlice((state) => state.connecting !== undefined);
  const [moved, setMoved] = useState(NOTHING);
  const host = useRef<HTMLDivElement>(null);
  const flow = useReactFlow();

  const scene = useMemo(() => sceneOf(graph, analysis, moved), [graph, analysis, moved]);
  const [first] = useState(() => firstFit(scene));
  const worst = useMemo(() => worstById(problems), [problems]);
  const nodes = useMemo(
    () => drawnNodes(graph, analysis, scene, selection, worst, target, canEdit),
    [graph, analysis, scene, selection, worst, target, canEdit],
  );
  const edges = useMemo(
    () => drawnEdges(graph, analysis, scene, selection, worst, canEdit),
    [graph, analysis, scene, selection, worst, canEdit],
  );

  const onNodesChange = useCallback(
    (changes: NodeChange<AnyNode>[]) => {
      const { graph } = editor.store.getState();
      const places = new Map<string, Point>();
      let isDragging = false;
      for (const change of changes) {
        if (change.type !== 'position' || !change.position) continue;
        isDragging ||= change.dragging === true;
        for (const [id, at] of movedBy(graph, change.id, change.position, scene)) places.set(id, at);
      }
      if (places.size > 0) {
        if (isDragging) setMoved((old) => new Map([...old, ...places]));
        else {
          setMoved(NOTHING);
          editor.move(snapped(places));
        }
      }
      selectBy(editor, changes);
    },
    [editor, scene],
  );

  const onConnectEnd = useCallback<OnConnectEnd>(
    (event, state) => {
      if (state.isValid || !state.fromNode || !editor.store.getState().can.edit) return;
      const point = 'changedTouches' in event ? event.changedTouches[0] : event;
      if (!point) return;
      const { clientX, clientY } = point;
      const isForward = state.fromHandle?.type !== 'target';
      const under = document
        .elementsFromPoint(clientX, clientY)
        .find((item) => item.closest('.react-flow__node'));
      const other = under?.closest<HTMLElement>('.react-flow__node')?.dataset.id;
      if (other) {
        // Dropped on the box instead of its port: what was meant is clear.
        if (isForward) editor.connect(state.fromNode.id, other);
        else editor.connect(other, state.fromNode.id);
      } else if (isForward) {
        const at = flow.screenToFlowPosition({ x: clientX, y: clientY });
        const place = { x: at.x, y: at.y - NODE_HEIGHT / 2 };
        editor.store.setState({
          quickAdd: { from: state.fromNode.id, at: place, anchor: { x: clientX, y: clientY } },
        });
      }
    },
    [editor, flow],
  );

  const onDrop = (event: React.DragEvent) => {
    const raw = event.dataTransfer.getData(DRAG_TYPE);
    if (!raw) return;
    event.preventDefault();
    const at = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    const template = JSON.parse(raw) as Template;
    const edge = edgeAt(event.clientX, event.clientY, edges);
    const place = { x: snap(at.x - NODE_WIDTH / 2), y: snap(at.y - NODE_HEIGHT / 2) };
    editor.add(template, edge ? { edge } : { at: place });
    stage.current?.focus({ preventScroll: true });
  };

  useReveal(scene);
  const [only] = selection;
  const chosen = selection.size === 1 && only && scene.boxes.has(only) ? only : undefined;
  const active = target ?? chosen;

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only a drop zone; the palette adds by click and by keyboard too
    <div
      className="canvas"
      ref={host}
      onDragOver={(event) => {
        if (event.dataTransfer.types.includes(DRAG_TYPE)) event.preventDefault();
      }}
      onDrop={onDrop}
    >
      <ReactFlow<AnyNode, FlowEdge>
        ref={stage}
        className="canvas-stage"
        tabIndex={0}
        aria-label="Canvas. Arrows go from step to step, slash adds one, C connects, question mark lists all keys."
        aria-activedescendant={active ? `node-${active}` : undefined}
        data-keys="canvas"
        data-connecting={isConnecting || undefined}
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        onNodesChange={onNodesChange}
        onEdgesChange={(changes) => selectBy(editor, changes)}
        onConnect={({ source, target: end }) => editor.connect(source, end)}
        onConnectEnd={onConnectEnd}
        onReconnect={(edge, { source, target: end }) => editor.reconnect(edge.id, source, end)}
        onMove={(_, view) => paintGrid(host.current, view)}
        onPaneClick={() => editor.store.setState({ quickAdd: undefined, connecting: undefined })}
        nodesDraggable={canEdit}
        nodesConnectable={canEdit}
        nodesFocusable={false}
        edgesFocusable={false}
        disableKeyboardA11y
        deleteKeyCode={null}
        connectionRadius={26}
        connectionMode={'strict' as ConnectionMode}
        onlyRenderVisibleElements={graph.nodes.length > MANY}
        minZoom={0.1}
        maxZoom={2}
        fitView
        fitViewOptions={first}
        zoomOnDoubleClick={false}
        elevateNodesOnSelect={false}
        elevateEdgesOnSelect={false}
        proOptions={{ hideAttribution: true }}
      />
      {graph.nodes.length === 0 && <EmptyCanvas />}
    </div>
  );
}

/** A wide workflow begins with as much of it as can be read; F shows the whole. */
function firstFit(scene: Scene) {
  const width = Math.max(560, Math.min(1_100, window.innerWidth - 180));
  const nodes = leading(scene.boxes, width).map((id) => ({ id }));
  return nodes.length > 0 ? { ...FIT, nodes } : FIT;
}

export function useFit(): () => void {
  const flow = useReactFlow();
  return useCallback(() => void flow.fitView({ ...FIT, duration: 180 }), [flow]);
}

/** Bring a step into view when something asks for it and it is not there. */
function useReveal(scene: Scene): void {
  const revealed = useSlice((state) => state.revealed);
  const flow = useReactFlow();
  const latest = useRef(scene);
  latest.current = scene;
  useEffect(() => {
    const box = revealed && latest.current.boxes.get(revealed.id);
    const pane = document.querySelector('.canvas')?.getBoundingClientRect();
    if (!box || !pane) return;
    const start = flow.flowToScreenPosition({ x: box.x, y: box.y });
    const end = flow.flowToScreenPosition({ x: box.x + box.width, y: box.y + box.height });
    const isInside =
      start.x > pane.left + 8 &&
      start.y > pane.top + 56 &&
      end.x < pane.right - 8 &&
      end.y < pane.bottom - 48;
    if (isInside) return;
    const all = around([...latest.current.boxes.values()]);
    const zoom = Math.min(pane.width / all.width, pane.height / all.height) / (1 + 2 * FIT.padding);
    // Keep the whole in sight while it can be read; a large workflow moves just far enough.
    if (zoom >= READABLE) {
      void flow.fitView({ ...FIT, duration: 200 });
      return;
    }
    const view = flow.getViewport();
    const x = view.x + inward(start.x, end.x, pane.left + MARGIN, pane.right - MARGIN);
    const y = view.y + inward(start.y, end.y, pane.top + MARGIN, pane.bottom - MARGIN);
    void flow.setViewport({ x, y, zoom: view.zoom }, { duration: 200 });
  }, [revealed, flow]);
}

/** How far to shift a span so that it lies between two lines. */
function inward(start: number, end: number, low: number, high: number): number {
  if (start < low) return low - start;
  return end > high ? high - end : 0;
}

/** The dots follow the view by two properties: no element is drawn anew. */
function paintGrid(host: HTMLElement | null, { x, y, zoom }: Viewport): void {
  const step = zoom < 0.5 ? GRID * 2 : GRID;
  host?.toggleAttribute('data-far', zoom < FAR);
  host?.style.setProperty('--grid-x', `${x}px`);
  host?.style.setProperty('--grid-y', `${y}px`);
  host?.style.setProperty('--grid-step', `${step * zoom}px`);
}

function selectBy(
  editor: ReturnType<typeof useEditor>,
  changes: readonly (NodeChange<AnyNode> | EdgeChange<FlowEdge>)[],
): void {
  const picked = changes.filter((change) => change.type === 'select');
  if (picked.length === 0) return;
  const next = new Set(editor.store.getState().selection);
  for (const change of picked) {
    if (change.selected) next.add(change.id);
    else next.delete(change.id);
  }
  editor.select(next);
}

/** A dragged group takes its members along; it has no place of its own. */
function movedBy(graph: Graph, id: string, to: Point, scene: Scene): [string, Point][] {
  const group = graph.groups.find((item) => item.id === id);
  const box = scene.boxes.get(id);
  if (!group || !box) return [[id, to]];
  const [dx, dy] = [to.x - box.x, to.y - box.y];
  return group.members.flatMap((member): [string, Point][] => {
    const inner = scene.boxes.get(member);
    return inner ? [[member, { x: inner.x + dx, y: inner.y + dy }]] : [];
  });
}

/** On the grid by the first of them: what moved together keeps its distances. */
function snapped(places: ReadonlyMap<string, Point>): ReadonlyMap<string, Point> {
  const [first] = places.values();
  if (!first) return places;
  const [dx, dy] = [snap(first.x) - first.x, snap(first.y) - first.y];
  return new Map([...places].map(([id, at]) => [id, { x: at.x + dx, y: at.y + dy }]));
}

function edgeAt(x: number, y: number, edges: readonly FlowEdge[]): string | undefined {
  const hit = document.elementsFromPoint(x, y).find((item) => item.classList.contains('flow-touch'));
  const name = hit?.parentElement?.dataset.edgeId;
  return edges.find((edge) => edge.data?.name === name && !edge.data?.isLoop)?.id;
}

type Worst = { readonly severity: 'error' | 'warning'; readonly message: string };

function worstById(problems: readonly Found[]): ReadonlyMap<string, Worst> {
  const found = new Map<string, Worst>();
  for (const { target, severity, message } of problems) {
    if (found.get(target.id)?.severity !== 'error') found.set(target.id, { severity, message });
  }
  return found;
}

const HANDLE = 10;

function drawnNodes(
  graph: Graph,
  analysis: Analysis,
  scene: Scene,
  selection: ReadonlySet<string>,
  worst: ReadonlyMap<string, Worst>,
  target: string | undefined,
  canEdit: boolean,
): AnyNode[] {
  const heads = new Set([...analysis.loops.values()].flatMap((loop) => loop.heads));
  const frames = graph.groups.flatMap((group): GroupNode[] => {
    const box = scene.boxes.get(group.id);
    if (!box) return [];
    const data = {
      label: labelOf(group),
      policy: policyText(group.fields.policy),
      port: box.port,
      worst: worst.get(group.id)?.severity,
      isTarget: target === group.id,
      canEdit,
    };
    return [
      {
        id: group.id,
        type: 'frame',
        data,
        zIndex: -1,
        selected: selection.has(group.id),
        ...placed(box),
        style: { pointerEvents: 'none' },
      },
    ];
  });
  const steps = graph.nodes.map((node): StepNode => {
    const box = scene.boxes.get(node.id) ?? {
      ...(placeOf(graph, node.id) ?? { x: 0, y: 0 }),
      width: NODE_WIDTH,
      height: NODE_HEIGHT,
      port: NODE_HEIGHT / 2,
    };
    // A head's bound is on its loop edge; a step that repeats itself has no other place for it.
    const own = heads.has(node.id) ? undefined : node.fields.max_cycle;
    const bound = typeof own === 'number' ? stepBound(graph, node) : undefined;
    const data = {
      label: labelOf(node),
      kind: kindOf(node),
      uses: text(node.fields.uses),
      bound: bound ? boundText(bound) : '',
      boundTitle: bound ? `Runs at most ${boundReason(bound)}` : '',
      worst: worst.get(node.id)?.severity,
      problem: worst.get(node.id)?.message ?? '',
      isTarget: target === node.id,
      canAdd: canEdit && selection.size === 1,
      canEdit,
    };
    return {
      id: node.id,
      type: 'step',
      data,
      selected: selection.has(node.id),
      zIndex: selection.has(node.id) ? 2 : 1,
      ...placed(box),
      ariaLabel: data.label,
    };
  });
  return [...frames, ...steps];
}

/** Sizes and ports are known, so nothing has to be measured in the page first. */
function placed({ x, y, width, height, port: middle }: Box) {
  const port = { width: HANDLE, height: HANDLE, y: middle - HANDLE / 2 };
  return {
    position: { x, y },
    width,
    height,
    measured: { width, height },
    handles: [
      { ...port, type: 'target' as const, position: Position.Left, x: -HANDLE / 2 },
      { ...port, type: 'source' as const, position: Position.Right, x: width - HANDLE / 2 },
    ],
  };
}

function drawnEdges(
  graph: Graph,
  analysis: Analysis,
  scene: Scene,
  selection: ReadonlySet<string>,
  worst: ReadonlyMap<string, Worst>,
  canEdit: boolean,
): FlowEdge[] {
  return graph.edges.flatMap((edge): FlowEdge[] => {
    const way = scene.ways.get(edge.id);
    if (!way) return [];
    const loop = analysis.loops.get(edge.id);
    const data = {
      way,
      name: edgeName(edge),
      isLoop: loop !== undefined,
      on: edgeOn(edge),
      when: expressionOf(edge.fields.when) ?? '',
      converges: edge.fields.converge !== undefined,
      bound: loop ? boundText(loop.bound) : '',
      boundTitle: loop ? boundReason(loop.bound) : '',
      worst: worst.get(edge.id)?.severity,
      // A button on each of a thousand edges would make every move of the view slow.
      canAdd: canEdit && !loop && (graph.edges.length <= MANY || selection.has(edge.id)),
    };
    const { id, source, target } = edge;
    const selected = selection.has(id);
    return [
      {
        id,
        source,
        target,
        type: 'flow',
        data,
        selected,
        reconnectable: canEdit && !loop,
        zIndex: selected ? 1 : 0,
      },
    ];
  });
}

export function policyText(policy: unknown): string {
  if (policy === 'best_effort') return 'best effort';
  if (typeof policy === 'object' && policy !== null) {
    if ('at_least' in policy) return `at least ${String(policy.at_least)}`;
    if ('critical' in policy && Array.isArray(policy.critical))
      return `critical: ${policy.critical.join(', ')}`;
  }
  return 'waits for all';
}
