extern alias core;

using System;
using System.IO;
using System.Linq;
using System.Threading;
using TorchSharp;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Learns operators from data.</summary>
public static class OperatorTrainer
{
    /// <summary>
    /// Learns the operator from the input functions of data to their output. Everything random comes from the seed: the same call gives the same operator bit for bit, also
    /// when it was interrupted and resumed, in as many slices as one likes.
    /// </summary>
    /// <param name="data">The training samples.</param>
    /// <param name="options">The architecture and the training; null for the defaults.</param>
    /// <param name="validation">Samples that decide which parameters are kept; null keeps the last.</param>
    /// <param name="progress">Told after every iteration.</param>
    /// <param name="cancellationToken">Stops between two iterations, after a checkpoint where a path for one is given.</param>
    /// <exception cref="ArgumentException">An option is out of range, the points do not hold the modes, or the validation data are unlike the training data.</exception>
    /// <exception cref="FitException">The loss did not stay finite.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    /// <exception cref="InvalidDataException">The checkpoint to resume from is damaged or foreign.</exception>
    /// <exception cref="IOException">The folder of the checkpoint does not exist, or the path is that of a file of another kind.</exception>
    public static OperatorModel Fit(
        OperatorData data,
        OperatorOptions? options = null,
        OperatorData? validation = null,
        IProgress<FitProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        ArgumentNullException.ThrowIfNull(data);
        options ??= new();
        options.Check(validation is not null);
        torch.ScalarType precision = options.DoublePrecision ? torch.float64 : torch.float32;
        using Core.OperatorDataset train = data.Data.To(precision);
        using Core.OperatorDataset? held = validation?.Data.To(precision);
        torch.Device device = Device(options.Device);
        Core.NeuralOperator model = Create(train, options, precision);
        try
        {
            _ = model.to(device);
            Core.TrainingSummary summary = Interop.Fitted(() =>
                Core.OperatorTraining.fit(options.Training(), model, train, held, Interop.Report(progress), cancellationToken)
            );
            _ = model.cpu();
            return new(model, summary);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static torch.Device Device(string name)
    {
        torch.Device device;
        try
        {
            device = torch.device(name);
        }
        catch (Exception failure) when (failure is ArgumentException or FormatException or InvalidOperationException)
        {
            throw new ArgumentException(
                $"'{name}' is no device here; take cpu, or cuda where libtorch is one for CUDA (`continuum doctor` says what was found, the README how to take one).",
                failure
            );
        }

        return device.type != DeviceType.CUDA || torch.cuda.is_available()
            ? device
            : throw new ArgumentException(
                "There is no CUDA device here, or libtorch is one for the CPU; `continuum doctor` says what was found, the README how to take a CUDA libtorch."
            );
    }

    /// <summary>
    /// Tries the architecture, the losses and every stride on one sample, so that what cannot be is said before hours are spent. Returns the number of real
    /// parameters.
    /// </summary>
    /// <param name="data">The training samples.</param>
    /// <param name="options">The architecture and the training; null for the defaults.</param>
    /// <param name="test">Samples that the operator will be applied to afterwards, to see that they fit; null for none.</param>
    /// <exception cref="ArgumentException">An option is out of range, the points do not hold the modes, or the test samples are unlike the others.</exception>
    /// <exception cref="FitException">The loss of the first sample is not finite.</exception>
    public static long Check(OperatorData data, OperatorOptions? options = null, OperatorData? test = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        options ??= new();
        options.Check(validated: true);
        using OperatorData one = data.Range(0, 1);
        using OperatorModel model = Fit(
            one,
            options with
            {
                BatchSize = 1,
                Epochs = Math.Max(1, options.Strides.Count),
                Resolutions = options.Strides.Count > 1 ? ResolutionUse.Curriculum : options.Resolutions,
                CheckpointPath = null,
                Resume = false,
                Patience = 0,
            }
        );
        if (test is not null)
        {
            using OperatorData other = test.Range(0, 1);
            _ = model.Evaluate(other);
        }

        return model.ParameterCount;
    }

    private static Core.NeuralOperator Create(Core.OperatorDataset data, OperatorOptions options, torch.ScalarType precision)
    {
        using torch.Generator generator = new((ulong)Math.Max(0, options.Seed));
        Core.Domain domain = data.Output.Item2.Domain;
        int[] inputs = [.. data.Inputs.Select(input => input.Item2.Channels)];
        int outputs = data.Output.Item2.Channels;
        if (options.History == 0)
        {
            return Scaled(Network(domain, inputs, outputs, data.ParameterNames.Length, options, precision, generator), data, options);
        }

        int frames = data.Times.Length;
        if (frames == 0)
        {
            throw new ArgumentException("The data have no times, so they are no motions; leave History (--history) out.");
        }

        int components = outputs / frames;
        if (inputs[0] != options.History * components)
        {
            throw new ArgumentException(
                $"The first input has {inputs[0]} channels; History = {options.History} frames of {components} components need {options.History * components}."
            );
        }

        Core.NeuralOperator step = Network(domain, inputs, components, data.ParameterNames.Length, options, precision, generator);
        return new Core.Autoregressive(options.Scaled ? Core.OperatorTraining.scaledStep(data, components, step) : step, options.History, frames);
    }

    private static Core.NeuralOperator Scaled(Core.NeuralOperator network, Core.OperatorDataset data, OperatorOptions options) =>
        options.Scaled ? Core.OperatorTraining.scaled(data, network) : network;

    private static Core.NeuralOperator Network(
        Core.Domain domain,
        int[] inputs,
        int outputs,
        int parameters,
        OperatorOptions options,
        torch.ScalarType precision,
        torch.Generator generator
    ) =>
        options.Kind switch
        {
            OperatorKind.Fno or OperatorKind.Tfno => new Core.Fno(
                domain,
                inputs,
                outputs,
                parameters,
                options.Fno(domain.Dimension),
                precision,
                generator
            ),
            OperatorKind.Uno => new Core.Uno(domain, inputs, outputs, parameters, options.Uno(domain.Dimension), precision, generator),
            OperatorKind.DeepONet => new Core.DeepONet(domain, inputs, outputs, parameters, options.DeepONet(), precision, generator),
            _ => throw new ArgumentOutOfRangeException(nameof(options), options.Kind, "not a kind of operator"),
        };
}
