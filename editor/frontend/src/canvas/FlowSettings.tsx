/* Settings of steps that steer the flow without code of their own: delay and map. */

import { useSlice } from './context';
import { JsonField, NumberField, SelectField, ValueOrExpression } from './fields';
import { wordsOf } from './kinds';
import type { Part } from './parts';

export function DelaySettings({ node, errors, change, names }: Part) {
  const help = 'The step waits this long and holds no worker. Its input goes on unchanged.';
  return (
    <div className="inspector-section">
      <h3>Delay</h3>
      <ValueOrExpression
        label="Seconds"
        name="seconds"
        value={node.fields.seconds}
        names={names}
        help={help}
        error={errors.get('seconds')}
        onChange={(seconds) => change({ seconds }, 'seconds')}
      >
        {(extra) => (
          <NumberField
            label="Seconds"
            name="seconds"
            min={0}
            value={typeof node.fields.seconds === 'number' ? node.fields.seconds : undefined}
            extra={extra}
            help={help}
            error={errors.get('seconds')}
            onChange={(seconds) => change({ seconds }, 'seconds')}
          />
        )}
      </ValueOrExpression>
    </div>
  );
}

export function MapSettings({ node, errors, change, names }: Part) {
  const tasks = useSlice((state) => state.catalogue?.results);
  const uses = typeof node.fields.uses === 'string' ? node.fields.uses : '';
  const options = (tasks ?? []).map((task) => ({
    value: task.name,
    label: `${wordsOf(task.name)} · ${task.name}`,
  }));
  const help = 'A list. Each item becomes the first parameter of one execution.';
  return (
    <div className="inspector-section">
      <h3>For each item</h3>
      <SelectField
        label="Task"
        name="uses"
        value={uses}
        options={[{ value: '', label: 'Choose a task…' }, ...options]}
        error={errors.get('uses')}
        onChange={(chosen) => change({ uses: chosen || undefined }, 'uses')}
      />
      <ValueOrExpression
        label="Items"
        name="items"
        value={node.fields.items}
        names={names}
        help={help}
        error={errors.get('items')}
        onChange={(items) => change({ items }, 'items')}
      >
        {(extra) => (
          <JsonField
            label="Items"
            name="items"
            rows={3}
            value={node.fields.items}
            extra={extra}
            help={help}
            onChange={(items) => change({ items }, 'items')}
          />
        )}
      </ValueOrExpression>
    </div>
  );
}
