// How observations become a path that drives an equation.
namespace Continuum

open TorchSharp

/// How a path runs between its observations.
type ControlScheme =
    /// Straight lines. The path between two observations depends on the later one; not smooth.
    | Linear = 0
    /// First time goes on while the values stay, then the values jump while time stands still: at every moment only what was
    /// observed is seen. Causal. Needs the time channel.
    | Rectilinear = 1
    /// Cubics whose slope at an observation is the difference quotient that leads to it: once continuously differentiable, and
    /// local: waits for one observation (Morrill, Kidger, Yang and Lyons 2021).
    | Hermite = 2
    /// The cubic spline with vanishing second derivatives at its ends: twice continuously differentiable; every piece depends on all
    /// observations, so it is not causal (Kidger, Morrill, Foster and Lyons 2020).
    | NaturalCubic = 3

/// What the path's parameter counts.
[<RequireQualifiedAccess>]
type ControlClock =
    /// Observations: number k is at clock k, whatever its time, so that series with times of their own run side by side and one step
    /// a unit is one step an observation. The solution does not depend on it: an equation dz = F(z) dX is invariant under
    /// reparameterisation, and real time enters through the time channel.
    | Observations
    /// Times, which all series must share.
    | Times

/// What is done where a channel was not observed between two observations of it.
[<RequireQualifiedAccess>]
type MissingValues =
    /// The scheme runs between the neighbours that exist, as if the row were not there: dropped values of linear data change nothing.
    /// Looks ahead to the channel's next value.
    | Interpolate
    /// The last value stays. Looks at nothing later.
    | FillForward

/// What is done before a channel's first observation.
[<RequireQualifiedAccess>]
type LeadingValues =
    /// The first value holds from the start. Looks ahead.
    | FirstObserved
    /// This value holds at the start, as if it had been observed then (for standardised data 0, the mean). Looks at nothing later.
    | Assumed of float

/// What is done with a channel of a series that was never observed.
[<RequireQualifiedAccess>]
type UnobservedChannels =
    /// It stays at the assumed value (0 with FirstObserved), and its intensity says that it says nothing.
    | Constant
    /// ArgumentException that names the series and the channel.
    | Refuse

/// Which channels get another one that counts their observations so far: it tells when a series was observed, which interpolated
/// values hide.
[<RequireQualifiedAccess>]
type IntensityChannels =
    /// None.
    | Nothing
    /// One for each channel of the data.
    | Every
    /// One for each of these channels (indices from 0).
    | Chosen of int[]

/// Everything the construction of a path can be told.
type ControlOptions = {
    /// Between observations.
    Scheme: ControlScheme
    /// What the path's parameter counts.
    Clock: ControlClock
    /// Time is the path's first channel. Without it the solution cannot depend on how fast the data went through its values.
    TimeChannel: bool
    /// Counters of observations, after the time and before the data.
    Intensity: IntensityChannels
    /// Between observations of a channel.
    Missing: MissingValues
    /// Before the first.
    Leading: LeadingValues
    /// Without any.
    Unobserved: UnobservedChannels
    /// Hermite: slope of the data at the first observation of a channel, a unit of time, shape (channels) or (series, channels); null takes
    /// the first difference quotient, which makes the first piece straight.
    FirstSlope: Tensor
}

/// Usual options.
[<RequireQualifiedAccess>]
module ControlOptions =
    /// Looks at nothing later than the scheme itself does: missing values repeat the last one, 0 before the first. With Rectilinear
    /// the path up to a time depends on the data up to that time; Linear and Hermite wait for one more observation.
    let causal (scheme: ControlScheme) : ControlOptions = {
        Scheme = scheme
        Clock = ControlClock.Observations
        TimeChannel = true
        Intensity = IntensityChannels.Nothing
        Missing = MissingValues.FillForward
        Leading = LeadingValues.Assumed 0.0
        Unobserved = UnobservedChannels.Constant
        FirstSlope = null
    }

    /// Time channel, no intensities; missing values interpolated from the neighbours that exist (Rectilinear: as causal).
    let create (scheme: ControlScheme) : ControlOptions =
        if scheme = ControlScheme.Rectilinear then
            causal scheme
        else
            {
                causal scheme with
                    Missing = MissingValues.Interpolate
                    Leading = LeadingValues.FirstObserved
            }
