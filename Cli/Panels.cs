using System;
using System.Collections.Generic;
using System.IO;
using ScottPlot;
using SkiaSharp;

namespace Continuum.Cli;

/// <summary>Several plots in one picture, in one column or two.</summary>
internal static class Panels
{
    private const int Width = 1100;
    private const int LeastHeight = 600;
    private const int PanelHeight = 300;
    private const int MostInAColumn = 4;

    /// <summary>The picture as SVG or PNG.</summary>
    internal static byte[] Draw(IReadOnlyList<Plot> plots, bool svg)
    {
        int columns = plots.Count > MostInAColumn ? 2 : 1;
        int rows = (plots.Count + columns - 1) / columns;
        SKSizeI size = new(Width, Math.Max(LeastHeight, rows * PanelHeight));
        return svg ? Svg(canvas => Render(plots, canvas, columns, size), size) : Png(canvas => Render(plots, canvas, columns, size), size);
    }

    /// <summary>Panels of one size, row by row, as PNG; null leaves a place empty.</summary>
    internal static byte[] Grid(IReadOnlyList<Plot?> plots, int columns, int panelWidth, int panelHeight)
    {
        SKSizeI size = new(columns * panelWidth, (plots.Count + columns - 1) / columns * panelHeight);
        return Png(canvas => Render(plots, canvas, columns, size), size);
    }

    private static void Render(IReadOnlyList<Plot?> plots, SKCanvas canvas, int columns, SKSizeI size)
    {
        int rows = (plots.Count + columns - 1) / columns;
        float width = (float)size.Width / columns;
        float tall = (float)size.Height / rows;
        for (int k = 0; k < plots.Count; k++)
        {
            if (plots[k] is { } plot)
            {
                float left = k % columns * width;
                float top = k / columns * tall;
                // Else each panel wipes out those before it.
                plot.RenderManager.ClearCanvasBeforeEachRender = false;
                plot.Render(canvas, new PixelRect(left, left + width, top + tall, top));
            }
        }
    }

    private static byte[] Png(Action<SKCanvas> render, SKSizeI size)
    {
        using SKSurface surface = SKSurface.Create(new SKImageInfo(size.Width, size.Height));
        surface.Canvas.Clear(SKColors.White);
        render(surface.Canvas);
        using SKImage image = surface.Snapshot();
        using SKData data = image.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }

    private static byte[] Svg(Action<SKCanvas> render, SKSizeI size)
    {
        using MemoryStream stream = new();
        using (SKCanvas canvas = SKSvgCanvas.Create(SKRect.Create(size.Width, size.Height), stream))
        {
            render(canvas);
        }

        return stream.ToArray();
    }
}
