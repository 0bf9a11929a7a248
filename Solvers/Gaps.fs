// Neighbours of missing values for all series and channels at once: running maxima of positions, and gathers. No loop over series.
namespace Continuum

open System
open TorchSharp

/// What was observed, by position. All tensors are (series, length, channels).
[<RequireQualifiedAccess>]
module internal Gaps =

    let private positionsLike (mask: Tensor) : Tensor =
        (SeriesBatch.positions mask.shape[1] mask.device).reshape([| 1L; -1L; 1L |]).expand_as mask

    let private whereInt (mask: Tensor) (x: Tensor) (otherwise: int64) : Tensor =
        torch.where (mask, x, x.full_like otherwise)

    let private runningMax (x: Tensor) : Tensor =
        let struct (values, _) = x.cummax 1L
        values

    /// Position of the last observation at or before each row; -1 where there is none.
    let previous (observed: Tensor) : Tensor = runningMax (whereInt observed (positionsLike observed) -1L)

    /// Position of the first observation of each channel, (series, 1, channels); the length where there is none.
    let first (observed: Tensor) : Tensor =
        (whereInt observed (positionsLike observed) observed.shape[1]).amin([| 1L |], true)

    /// x with zeros where nothing was observed: the gradient does not see what was there.
    let zeroed (observed: Tensor) (x: Tensor) : Tensor = torch.where (observed, x, torch.zeros_like x)

    /// Every missing value replaced by the last one before it; before the first one by the first; by zero without any.
    let forward (observed: Tensor) (x: Tensor) : Tensor =
        let last = observed.shape[1] - 1L
        let source = torch.maximum (previous observed, (first observed).clamp_max(last))
        (zeroed observed x).gather(1L, source)

/// Observations of each channel moved to the front, so that a scheme may run over them as if nothing else were there.
/// Slots beyond the last observation repeat it.
[<Struct>]
type internal Compacted = {
    /// (series, length, channels).
    Times: Tensor
    /// (series, length, channels).
    Values: Tensor
    /// Number of observations at or before each row, (series, length, channels).
    Count: Tensor
}

/// Moving observations to the front.
[<RequireQualifiedAccess>]
module internal Compacted =

    /// times: (1 or series, length), in which they count the rows.
    let ofObserved (observed: Tensor) (times: Tensor) (x: Tensor) : Compacted =
        let length = observed.shape[1]
        let rows = (SeriesBatch.positions length observed.device).reshape([| 1L; -1L; 1L |]).expand_as observed
        let count = observed.cumsum (1L, Nullable torch.int64)

        // Row r goes to slot count - 1; what is missing to one more slot at the end, which is cut off.
        let slot = torch.where (observed, count.sub 1L, count.full_like length)

        let slots =
            torch.zeros (
                [| observed.shape[0]; length + 1L; observed.shape[2] |],
                dtype = torch.int64,
                device = x.device
            )

        let sources = slots.scatter(1L, slot, rows.contiguous ()).narrow(1L, 0L, length).contiguous()
        let struct (sources, _) = sources.cummax 1L

        {
            Times = (times.unsqueeze -1L).expand_as(observed).gather(1L, sources)
            Values = (Gaps.zeroed observed x).gather(1L, sources)
            Count = count
        }
