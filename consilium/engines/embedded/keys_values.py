"""Keys and values of a batch's rows, each row in a slot of its own from its first token on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GROWTH_TOKENS = 256
"""Slots grow in steps of so many tokens."""


class KeysValues:
    """Room for the keys and values of all rows, in one tensor that grows with the longest row and their number."""

    def __init__(self, layers: int, heads: int, head_size: int) -> None:
        import torch

        self._shape = (layers, 2, heads, head_size)
        self._data = torch.zeros(layers, 2, 0, heads, 0, head_size)

    @property
    def slots(self) -> int:
        """Number of rows that there is room for."""
        return self._data.shape[2]

    @property
    def tokens(self) -> int:
        """Longest row that there is room for."""
        return self._data.shape[4]

    def reserve(self, slots: int, tokens: int, *, used: int, most: int) -> None:
        """Make room for so many rows of so many tokens. What is in the first ``used`` slots stays where it is.

        Some room is added for what may come next, as long as ``most`` rows times tokens hold it; beyond that, what is
        not needed any more is given up.
        """
        import torch

        if slots <= self.slots and tokens <= self.tokens:
            return
        layers, two, heads, size = self._shape
        rounded = -(-tokens // GROWTH_TOKENS) * GROWTH_TOKENS
        doubled = self.slots if slots <= self.slots else max(slots, 2 * self.slots)
        exact = (slots, tokens)
        choices = ((doubled, max(self.tokens, rounded)), (slots, max(self.tokens, rounded)), (slots, rounded))
        slots, tokens = next((choice for choice in choices if choice[0] * choice[1] <= most), exact)
        # Zeros, not just room: what a row has not reached is weighted with 0, and 0 times NaN would be NaN.
        grown = torch.zeros(layers, two, slots, heads, tokens, size)
        kept = min(tokens, self.tokens)
        grown[:, :, :used, :, :kept] = self._data[:, :, :used, :, :kept]
        self._data = grown

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first ``tokens`` of one slot into another."""
        self._data[:, :, target, :, :tokens] = self._data[:, :, source, :, :tokens]

    def read(self, slot: int, tokens: int) -> "torch.Tensor":
        """Return a copy of a slot's first tokens, [layers, 2, heads, tokens, head size]."""
        return self._data[:, :, slot, :, :tokens].clone()

    def write(self, slot: int, prefix: "torch.Tensor", tokens: int) -> None:
        """Put the first ``tokens`` of what `read` returned into a slot."""
        self._data[:, :, slot, :, :tokens] = prefix[..., :tokens, :]

    def clear(self, slot: int, tokens: int) -> None:
        """Put zeros in place of a slot's first tokens."""
        self._data[:, :, slot, :, :tokens] = 0.0

    @property
    def room(self) -> int:
        """Rows times tokens that there is room for."""
        return self.slots * self.tokens

    def window(self, slots: slice, positions: "torch.Tensor") -> "Window":
        """Return the rows of consecutive slots, to which tokens at ``positions`` ([rows, tokens]) are to be added."""
        return Window(self._data[:, :, slots], positions)


class Window:
    """The rows of one pass of the decoder, and the places of the tokens that it adds to each of them."""

    def __init__(self, data: "torch.Tensor", positions: "torch.Tensor") -> None:
        import torch

        rows, tokens = positions.shape
        self._layers = list(zip(data[:, 0].unbind(), data[:, 1].unbind(), strict=True))
        self._positions = positions
        self._longest = int(positions.max()) + 1
        self._rows = torch.arange(rows)[:, None]
        reached = torch.arange(self._longest) <= positions[..., None]
        self._mask = None if bool(reached.all()) else reached[:, None]
        self._one_each = tokens == 1

    def attend(
        self, layer: int, queries: "torch.Tensor", keys: "torch.Tensor", values: "torch.Tensor"
    ) -> "torch.Tensor":
        """Add keys and values ([rows, tokens, kv heads, head size]) and return what the queries find in them all.

        Queries: [rows, tokens, heads, head size]; so is what is returned, as one of [rows, tokens, heads * head size].
        """
        from torch.nn.functional import scaled_dot_product_attention

        all_keys, all_values = self._layers[layer]
        rows, tokens, _, size = queries.shape
        all_keys[self._rows, :, self._positions] = keys
        all_values[self._rows, :, self._positions] = values
        # Of single tokens, the queries that share a key head are laid out like tokens: no key is read twice.
        grouped = (rows, all_keys.shape[1], -1, size)
        queries = queries.reshape(grouped) if self._one_each else queries.transpose(1, 2)
        found = scaled_dot_product_attention(
            queries,
            all_keys[:, :, : self._longest],
            all_values[:, :, : self._longest],
            attn_mask=self._mask,
            enable_gqa=not self._one_each,
        )
        return found.reshape(rows, 1, -1) if self._one_each else found.transpose(1, 2).reshape(rows, tokens, -1)
