// Ranges of options. Messages name the option and its value.
namespace Continuum

open System

/// Checks that throw ArgumentException for an option out of its range.
[<RequireQualifiedAccess>]
module internal OptionChecks =
    let private bad (text: string) = raise (ArgumentException text)

    /// At least so much.
    let atLeast (least: int) (name: string) (value: int) =
        if value < least then
            bad $"{name} must be at least {least}; got {value}"

    /// Threads of libtorch: it makes as many as it is told, and the process ends when the system has no more.
    let threads (value: int) =
        if value < 1 || value > 1024 then
            bad
                $"Threads must be from 1 to 1024 (this machine has {Environment.ProcessorCount} processors); got {value}"

    /// Above 0 and finite.
    let positive (name: string) (value: float) =
        if not (value > 0.0 && Double.IsFinite value) then
            bad $"{name} must be positive; got {value}"

    /// At least 0, and a number.
    let notNegative (name: string) (value: float) =
        if not (value >= 0.0) then
            bad $"{name} must not be negative; got {value}"

    /// Within these bounds, which count.
    let within (low: float) (high: float) (name: string) (value: float) =
        if not (value >= low && value <= high) then
            bad $"{name} must lie between {low} and {high}; got {value}"

    /// Widths of hidden layers, if any.
    let widths (name: string) (values: int[]) =
        if values |> Array.exists (fun width -> width < 1 || width > 4096) then
            let list = String.Join(", ", values)
            bad $"{name} needs widths from 1 to 4096; got [{list}]"

    /// Widths of at least one hidden layer.
    let someWidths (name: string) (values: int[]) =
        if values.Length = 0 then
            bad $"{name} needs one or more widths from 1 to 4096; got []"

        widths name values
