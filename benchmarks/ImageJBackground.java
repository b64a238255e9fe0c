import ij.plugin.filter.BackgroundSubtracter;
import ij.process.ByteProcessor;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Times ImageJ's background subtraction of a raw grey image on a light background, with smoothing:
 * input width height radius repetitions output. Prints the seconds of each repetition, a line each;
 * the first ones are slow, until Java has compiled the code.
 */
public class ImageJBackground {
    public static void main(String[] words) throws Exception {
        byte[] pixels = Files.readAllBytes(Path.of(words[0]));
        int width = Integer.parseInt(words[1]);
        int height = Integer.parseInt(words[2]);
        double radius = Double.parseDouble(words[3]);
        for (int repetition = 0; repetition < Integer.parseInt(words[4]); repetition++) {
            ByteProcessor image = new ByteProcessor(width, height, pixels.clone());
            long start = System.nanoTime();
            new BackgroundSubtracter()
                    .rollingBallBackground(image, radius, false, true, false, true, true);
            System.out.println((System.nanoTime() - start) / 1e9);
            Files.write(Path.of(words[5]), (byte[]) image.getPixels());
        }
    }
}
