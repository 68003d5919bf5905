/** A bar that goes two ways from its zero; places and widths in percent. */
type Props = { value: number; zero: number; width: number; faint?: boolean };

export const SignedBar = ({ value, zero, width, faint }: Props) => (
  <span class="mv-signed" style={{ "--zero": `${zero}%` }}>
    <i
      data-minus={value < 0 || undefined}
      data-faint={faint || undefined}
      style={{ left: `${value < 0 ? zero - width : zero}%`, width: `${width}%` }}
    />
  </span>
);
