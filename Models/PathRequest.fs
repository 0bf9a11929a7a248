// What is asked of a simulation: which paths, at which times; the normal numbers that its paths begin with.
namespace Continuum

open System
open TorchSharp

/// Checks of simulations, and normal numbers that belong to paths.
[<RequireQualifiedAccess>]
module internal PathRequest =
    let private bad (text: string) = raise (ArgumentException text)

    /// ArgumentException for no paths, or paths before the first.
    let checkPaths (first: int) (count: int) =
        if count < 1 || first < 0 then
            bad $"a simulation needs at least one path and a first path of 0 or later; got {count} from {first}"

    /// ArgumentException for times that do not rise from a start, which itself is allowed or not.
    let checkTimes (start: float) (startAllowed: bool) (times: float[]) =
        times
        |> Array.iteri (fun i time ->
            let before = if i = 0 then start else times[i - 1]

            if not (Double.IsFinite time && (time > before || (i = 0 && startAllowed && time = before))) then
                let range = if startAllowed then $"from {start} on" else $"after {start}"
                bad $"time {i} is {time}, which is not after {before}; give rising times {range}")

    /// ArgumentException for no time.
    let checkAnyTime (times: float[]) =
        if times.Length = 0 then
            bad "a simulation needs at least one time"

    /// Standard normals (count, size) for paths first, first + 1, ..: functions of seed, stream and path. They belong to the innermost scope.
    let normals (seed: uint64) (stream: uint64) (first: int) (count: int) (size: int) : Tensor =
        let spec = BrownianSpec.create 0.0 1.0 size (seed ^^^ (0x9E3779B97F4A7C15UL * stream))
        use path = new TensorBrownian(spec, [| int64 count |], int64 first, torch.float64, torch.CPU)
        path.Step(0.0, 1.0).W
