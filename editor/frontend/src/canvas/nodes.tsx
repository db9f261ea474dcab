/* The drawn boxes: a step, and the frame of a parallel group. */

import { Handle, type Node, type NodeProps, Position } from '@xyflow/react';
import { Columns3, Plus, RotateCw, TriangleAlert } from 'lucide-react';
import { memo } from 'react';
import { useEditor } from './context';
import { KindTile, lookOf } from './kinds';

export type StepData = {
  readonly label: string;
  readonly kind: string;
  readonly uses: string;
  readonly bound: string;
  readonly boundTitle: string;
  readonly worst: 'error' | 'warning' | undefined;
  readonly problem: string;
  readonly canEdit: boolean;
  readonly canAdd: boolean;
  readonly isTarget: boolean;
};

export type GroupData = {
  readonly label: string;
  readonly policy: string;
  readonly port: number;
  readonly worst: 'error' | 'warning' | undefined;
  readonly isTarget: boolean;
  readonly canEdit: boolean;
};

export type StepNode = Node<StepData, 'step'>;
export type GroupNode = Node<GroupData, 'frame'>;

export const Step = memo(function Step({ id, data, selected }: NodeProps<StepNode>) {
  const editor = useEditor();
  const { label, kind, uses, bound, worst } = data;
  return (
    <div
      className="step"
      id={`node-${id}`}
      data-testid="task-node"
      data-task-id={id}
      data-kind={kind}
      data-selected={selected || undefined}
      data-worst={worst}
      data-target={data.isTarget || undefined}
    >
      <KindTile kind={kind} />
      <span className="step-text">
        <span className="step-label">{label}</span>
        <span className="step-sub">{uses || lookOf(kind).word}</span>
      </span>
      {bound && (
        <span className="step-bound" title={data.boundTitle}>
          <RotateCw size={11} aria-hidden="true" />
          {bound}
        </span>
      )}
      {worst && (
        <span className="step-worst" data-worst={worst} title={data.problem}>
          <TriangleAlert size={13} aria-hidden="true" />
          <span className="visually-hidden">{data.problem}</span>
        </span>
      )}
      <Handle type="target" position={Position.Left} className="port" isConnectable={data.canEdit} />
      <Handle type="source" position={Position.Right} className="port" isConnectable={data.canEdit} />
      {selected && data.canAdd && (
        <button
          type="button"
          tabIndex={-1}
          className="step-next nodrag nopan"
          aria-label={`Add a step after ${label}`}
          title="Add a step after this one (Tab)"
          onClick={(event) => {
            event.stopPropagation();
            const { right, top } = event.currentTarget.getBoundingClientRect();
            editor.store.setState({ quickAdd: { from: id, anchor: { x: right + 8, y: top - 8 } } });
          }}
        >
          <Plus size={14} aria-hidden="true" />
        </button>
      )}
    </div>
  );
});

export const GroupFrame = memo(function GroupFrame({ id, data, selected }: NodeProps<GroupNode>) {
  return (
    <div
      className="group-box"
      id={`node-${id}`}
      data-testid="group-node"
      data-group-id={id}
      data-selected={selected || undefined}
      data-worst={data.worst}
      data-target={data.isTarget || undefined}
    >
      <span className="group-head">
        <Columns3 size={13} aria-hidden="true" />
        <span>{data.label}</span>
        <span className="group-policy">{data.policy}</span>
      </span>
      <Handle
        type="target"
        position={Position.Left}
        className="port"
        style={{ top: data.port }}
        isConnectable={data.canEdit}
      />
      <Handle
        type="source"
        position={Position.Right}
        className="port"
        style={{ top: data.port }}
        isConnectable={data.canEdit}
      />
    </div>
  );
});
