extern alias core;

using System;
using Microsoft.FSharp.Core;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <content>Options of controlled equations.</content>
internal static partial class Interop
{
    internal static Core.ControlOptions Options(ControlOptions options)
    {
        if (!Enum.IsDefined(options.Scheme))
        {
            throw new ArgumentException($"There is no scheme {options.Scheme}.");
        }

        bool causal = options.Causal || options.Scheme == ControlScheme.Rectilinear;
        return new(
            (Core.ControlScheme)(int)options.Scheme,
            options.ClockIsTime ? Core.ControlClock.Times : Core.ControlClock.Observations,
            options.TimeChannel,
            options.IntensityChannels is { } channels ? Core.IntensityChannels.NewChosen([.. channels])
                : options.Intensities ? Core.IntensityChannels.Every
                : Core.IntensityChannels.Nothing,
            causal ? Core.MissingValues.FillForward : Core.MissingValues.Interpolate,
            causal ? Core.LeadingValues.NewAssumed(options.Assumed) : Core.LeadingValues.FirstObserved,
            options.RefuseUnobserved ? Core.UnobservedChannels.Refuse : Core.UnobservedChannels.Constant,
            null
        );
    }

    internal static Core.CdeOptions Options(CdeOptions options)
    {
        if (options.FixedStep is not null && options.RelTol is not null)
        {
            throw new ArgumentException($"{nameof(CdeOptions.FixedStep)} and {nameof(CdeOptions.RelTol)} exclude each other; set one.");
        }

        return new(
            options.Method.Inner,
            options.ByIncrements ? Core.CdeForm.Increments : Core.CdeForm.Rate,
            options.RelTol is double tolerance ? Core.CdeSteps.NewAdaptive(tolerance, options.AbsTol)
                : options.FixedStep is double step ? Core.CdeSteps.NewFixed(step)
                : Core.CdeSteps.NewPerPiece(options.StepsPerPiece),
            options.SaveAt is { } times ? Core.CdeSave.NewTimes([.. times])
                : options.Save == CdeSave.Observations ? Core.CdeSave.Observations
                : Core.CdeSave.End,
            options.Gradient.Value,
            options.CheckTracking,
            options.MaxSteps,
            options.CancellationToken
        );
    }
}
