# frozen_string_literal: true

require 'fluent/plugin/filter_kubernetes_metadata'

module Fluent
  module Plugin
    # Adds the pod's node and labels as JSON to the lines of a pod's file.
    #
    # If a pod is not found, kubernetes_metadata (3.7.1) asks the API server for each line, and each request waits for
    # seconds when the server is unavailable. This filter asks at most once per `answer_ttl`, and once per file in a
    # batch.
    class PodFilter < KubernetesMetadataFilter
      Fluent::Plugin.register_filter('pod', self)

      desc 'Time until a pod that was not found is looked up again'
      config_param :answer_ttl, :time, default: 30

      MAX_ANSWERS = 10_000

      def filter_stream(_tag, events)
        pods = Hash.new { |hash, path| hash[path] = pod(path) }
        events.each { |_time, record| record['pod'] = pods[record['path']] }
        events
      end

      # Namespaces are not used, so the account needs no right to read them.
      def set_up_namespace_thread; end

      # Called for pods that are not in the plugin's own cache.
      def fetch_pod_metadata(namespace, pod)
        @answers ||= {}
        until_when, answer = @answers[[namespace, pod]]
        return answer.dup if answer && until_when > Fluent::Clock.now

        answer = super
        @answers.clear if @answers.size >= MAX_ANSWERS
        @answers[[namespace, pod]] = [Fluent::Clock.now + @answer_ttl, answer]
        answer.dup
      end

      private

      # The plugin parses namespace and pod from a tag. Here the tag is the path; see tag_to_kubernetes_name_regexp.
      def pod(path)
        metadata = filter(path, EventTime.now, {})['kubernetes'] || {}
        JSON.generate('node' => metadata['host'], 'labels' => metadata['labels'] || {})
      rescue StandardError => e
        log.error 'cannot read the metadata of a pod; its lines have no labels', path: path, error: e
        '{}'
      end
    end
  end
end
